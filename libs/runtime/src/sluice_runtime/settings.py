"""Settings come from environment variables alone, read once, in `main.py`.

Every variable starts with `SLUICE_`; `SLUICE_X_FILE` names a file that holds the value of
`SLUICE_X`. A variable with the prefix that no service knows is an error, so that a misspelt
limit does not silently stay at its default.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

PREFIX = "SLUICE_"

# Read by the clients and the development stack, never by a service.
_CLIENT_VARIABLES = frozenset({"API_KEY", "BASE_URL", "DEVICE_ID", "DEVICE_TOKEN", "TEST_SERVERS"})

# Every setting of every service. Services share one environment in compose, so a name that
# belongs to a neighbour is fine; `tests/contract/test_settings.py` keeps this list complete.
KNOWN = frozenset(
    {
        "CLAIM_LEASE_SECONDS",
        "DATABASE_URL",
        "ENVIRONMENT",
        "HOST",
        "INITIAL_KEYS",
        "INSPECT_MAX_BYTES",
        "INSPECT_TIMEOUT_SECONDS",
        "LOG_LEVEL",
        "MAX_CALL_BYTES",
        "MAX_CHUNK_BYTES",
        "MAX_JSON_BYTES",
        "MAX_RENDER_BYTES",
        "MAX_UPLOAD_BYTES",
        "MAX_UPLOADS_IN_FLIGHT",
        "MEDIA_PROXY",
        "MIN_UPLOAD_RATE_BYTES",
        "MIN_UPLOAD_RATE_SECONDS",
        "NATS_PASSWORD",
        "NATS_REPLICAS",
        "NATS_URL",
        "NATS_USER",
        "ORPHAN_AGE_SECONDS",
        "PART_SIZE_BYTES",
        "PARTS_IN_FLIGHT",
        "PORT",
        "PRESIGN_LIFETIME_SECONDS",
        "REGISTER_TIMEOUT_SECONDS",
        "RENDER_TTL_SECONDS",
        "S3_ACCESS_KEY",
        "S3_BUCKET",
        "S3_LINK_LIFETIME_SECONDS",
        "S3_PUBLIC_URL",
        "S3_REGION",
        "S3_SECRET_KEY",
        "S3_URL",
        "SINGLE_PUT_BYTES",
        "STORE_SEND_BUFFER_BYTES",
        "SWEEP_INTERVAL_SECONDS",
        "TOKEN_SECRET",
        "TRUSTED_PROXIES",
        "UPLOAD_DEADLINE_SECONDS",
    }
)


class BadSettings(SystemExit):
    """The environment does not make a valid configuration; carries the lines to print."""


class Settings(BaseSettings):
    """Values that `read_settings` found; nothing is read from anywhere else."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="ignore", hide_input_in_errors=True
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


class ServiceSettings(Settings):
    """What every service needs to know. Each field is the variable `SLUICE_<FIELD>`."""

    environment: Literal["development", "production"] = "production"
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65_535)]
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    nats_url: str
    nats_user: str
    nats_password: SecretStr


S = TypeVar("S", bound=Settings)


def read_settings(model: type[S], environment: Mapping[str, str] | None = None) -> S:
    """The settings in force.

    Raises:
        BadSettings: a variable is missing, malformed or unknown; says which, never its value.
    """
    variables = dict(os.environ if environment is None else environment)
    given = {name: value for name, value in variables.items() if name.startswith(PREFIX)}
    values: dict[str, Any] = {}
    problems: list[str] = []
    for name, value in given.items():
        field = name.removeprefix(PREFIX)
        if field.endswith("_FILE") and field.removesuffix("_FILE") in KNOWN:
            field = field.removesuffix("_FILE")
            try:
                value = Path(value).read_text().strip()
            except OSError as error:
                problems.append(f"{name}: cannot be read: {error.strerror}")
                continue
        if field not in KNOWN and field not in _CLIENT_VARIABLES:
            problems.append(f"{name}: no such setting")
        if field.lower() in values:
            problems.append(f"{PREFIX}{field}: given twice, by itself and as a file")
        values[field.lower()] = value
    try:
        settings = model(**{k: v for k, v in values.items() if k in model.model_fields})
    except ValidationError as error:
        for one in error.errors():
            field = "_".join(str(step) for step in one["loc"]).upper()
            problems.append(f"{PREFIX}{field}: {one['msg']}")
    if problems:
        raise BadSettings("bad settings:\n  " + "\n  ".join(problems))
    return settings

"""The settings of all services together: known, named in errors, and never shown."""

import json
import secrets
from pathlib import Path

import pytest
from pydantic_settings import BaseSettings

from sluice_catalog.domain import WELL_KNOWN_TOKENS
from sluice_catalog.provision import provision
from sluice_catalog.settings import CatalogSettings
from sluice_catalog.settings import ProvisionSettings as CatalogProvisionSettings
from sluice_gateway.settings import GatewaySettings
from sluice_notifier.settings import NotifierSettings
from sluice_notifier.settings import ProvisionSettings as NotifierProvisionSettings
from sluice_runtime.settings import KNOWN, PREFIX, BadSettings, read_settings
from sluice_runtime.topology import TopologySettings
from sluice_storage.inspector.settings import InspectorSettings
from sluice_storage.settings import StorageSettings, StoreSettings

MODELS: tuple[type[BaseSettings], ...] = (
    GatewaySettings,
    StorageSettings,
    StoreSettings,
    InspectorSettings,
    CatalogSettings,
    CatalogProvisionSettings,
    NotifierSettings,
    NotifierProvisionSettings,
    TopologySettings,
)

# One value that every service takes, for each setting without a default; secrets are random.
SECRETS = {
    name: secrets.token_urlsafe(32)
    for name in ("NATS_PASSWORD", "TOKEN_SECRET", "S3_SECRET_KEY", "S3_ACCESS_KEY")
}
PASSWORD, TOKEN = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
KEYS = [{"name": "me", "tenant": "dev", "token": TOKEN, "scopes": ["events:read"]}]
SECRETS |= {
    "DATABASE_URL": f"postgresql://catalog:{PASSWORD}@localhost/catalog",
    "INITIAL_KEYS": json.dumps(KEYS),
}
PLAIN = {
    "PORT": "8000",
    "NATS_URL": "nats://localhost:4222",
    "NATS_USER": "somebody",
    "S3_URL": "http://localhost:9000",
    "S3_BUCKET": "media",
}
ENVIRONMENT = {PREFIX + name: value for name, value in {**PLAIN, **SECRETS}.items()}
HIDDEN = (*SECRETS.values(), PASSWORD, TOKEN)

each_model = pytest.mark.parametrize("model", MODELS, ids=lambda one: f"{one.__module__}")


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KNOWN:
        monkeypatch.delenv(PREFIX + name, raising=False)


def test_known_names_are_exactly_the_fields_of_all_services() -> None:
    fields = {name.upper() for model in MODELS for name in model.model_fields}
    assert fields == KNOWN


@each_model
def test_one_environment_serves_every_service(model: type[BaseSettings]) -> None:
    read_settings(model, ENVIRONMENT)


@each_model
def test_a_misspelt_variable_is_an_error(model: type[BaseSettings]) -> None:
    with pytest.raises(BadSettings, match="SLUICE_MAX_UPLOAD_BITES: no such setting"):
        read_settings(model, {**ENVIRONMENT, "SLUICE_MAX_UPLOAD_BITES": "1"})


@each_model
def test_secrets_can_come_from_files(model: type[BaseSettings], tmp_path: Path) -> None:
    given = {PREFIX + name: value for name, value in PLAIN.items()}
    for name, value in SECRETS.items():
        file = tmp_path / name
        file.write_text(value + "\n")
        given[f"{PREFIX}{name}_FILE"] = str(file)
    assert read_settings(model, given) == read_settings(model, ENVIRONMENT)


@each_model
def test_secrets_are_never_shown(model: type[BaseSettings]) -> None:
    settings = read_settings(model, ENVIRONMENT)
    shown = repr(settings) + str(settings) + settings.model_dump_json()
    assert not [secret for secret in HIDDEN if secret in shown]


@each_model
@pytest.mark.parametrize("name", sorted(KNOWN))
def test_no_error_repeats_a_value(model: type[BaseSettings], name: str) -> None:
    """Whatever nonsense stands in a variable; it may be a secret in the wrong place."""
    nonsense = f'"{PASSWORD}'
    said = ""
    try:
        read_settings(model, {**ENVIRONMENT, PREFIX + name: nonsense})
    except BadSettings as error:
        said = str(error)
    assert not said or PREFIX + name in said
    assert not [secret for secret in HIDDEN if secret in said]


@each_model
def test_a_missing_secret_is_named_and_there_is_no_default(model: type[BaseSettings]) -> None:
    with pytest.raises(BadSettings) as caught:
        read_settings(model, {})
    needed = {name for name, field in model.model_fields.items() if field.is_required()}
    assert needed
    assert all(f"{PREFIX}{name.upper()}: Field required" in str(caught.value) for name in needed)
    secret = {name.lower() for name in SECRETS} - {"initial_keys"}
    assert secret & set(model.model_fields) <= needed


@pytest.mark.parametrize("token", WELL_KNOWN_TOKENS)
async def test_production_refuses_the_keys_of_the_documentation(token: str) -> None:
    keys = json.dumps([{**KEYS[0], "token": token}])
    settings = read_settings(CatalogProvisionSettings, {**ENVIRONMENT, "SLUICE_INITIAL_KEYS": keys})
    assert settings.environment == "production"  # what nobody said is the careful choice
    with pytest.raises(SystemExit, match="holds a key from the documentation") as caught:
        await provision(settings)
    assert token not in str(caught.value)


def test_a_short_token_secret_is_refused() -> None:
    with pytest.raises(BadSettings, match="SLUICE_TOKEN_SECRET"):
        read_settings(GatewaySettings, {**ENVIRONMENT, "SLUICE_TOKEN_SECRET": "x" * 31})

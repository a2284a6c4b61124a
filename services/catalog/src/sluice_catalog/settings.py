"""What the catalog reads from its environment."""

import json
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, SecretStr, TypeAdapter, ValidationError, field_validator
from pydantic_settings import NoDecode

from sluice_contracts.base import Contract, Token
from sluice_runtime.settings import ServiceSettings, Settings


class InitialKey(Contract):
    """A key that provisioning makes sure exists."""

    name: str
    tenant: Token
    token: SecretStr
    scopes: frozenset[str]


class ProvisionSettings(Settings):
    """What provisioning needs: a database, and the keys to begin with."""

    environment: Literal["development", "production"] = "production"
    database_url: SecretStr
    initial_keys: Annotated[tuple[InitialKey, ...], NoDecode] = ()

    @field_validator("initial_keys", mode="before")
    @classmethod
    def _decode(cls, value: object) -> object:
        """JSON in a variable; an error never repeats the value, for it holds tokens."""
        if not isinstance(value, str):
            return value
        try:
            return TypeAdapter(tuple[InitialKey, ...]).validate_python(json.loads(value))
        except (ValidationError, json.JSONDecodeError) as error:
            raise ValueError("must be a JSON list of {name, tenant, token, scopes}") from error


class CatalogSettings(ServiceSettings):
    """How the catalog runs. Each field is the variable `SLUICE_<FIELD>`."""

    database_url: SecretStr
    claim_lease_seconds: Annotated[float, Field(ge=1, le=300)] = 10.0
    upload_deadline_seconds: Annotated[int, Field(ge=60)] = 86_400
    render_ttl_seconds: Annotated[int, Field(ge=1)] = 86_400

    @property
    def claim_lease(self) -> timedelta:
        return timedelta(seconds=self.claim_lease_seconds)

    @property
    def render_lifetime(self) -> timedelta:
        """How long a render waits for a message."""
        return timedelta(seconds=self.render_ttl_seconds)

    @property
    def upload_deadline(self) -> timedelta:
        return timedelta(seconds=self.upload_deadline_seconds)

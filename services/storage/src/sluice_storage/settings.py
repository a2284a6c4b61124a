"""What storage reads from its environment."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field, SecretStr

from sluice_runtime.settings import ServiceSettings, Settings

MIB = 1024**2


class StoreSettings(Settings):
    """How the object store is reached; all that provisioning needs."""

    s3_url: str
    s3_access_key: SecretStr
    s3_secret_key: SecretStr
    s3_bucket: str
    s3_region: str = "us-east-1"


class StorageSettings(ServiceSettings, StoreSettings):
    """How storage runs. Each field is the variable `SLUICE_<FIELD>`."""

    s3_public_url: str | None = None
    part_size_bytes: Annotated[int, Field(ge=5 * MIB, le=512 * MIB)] = 8 * MIB
    single_put_bytes: Annotated[int, Field(ge=MIB, le=5 * 1024 * MIB)] = 64 * MIB
    s3_link_lifetime_seconds: Annotated[int, Field(ge=10, le=900)] = 900
    orphan_age_seconds: Annotated[int, Field(ge=0)] = 3600
    sweep_interval_seconds: Annotated[float, Field(gt=0)] = 300

    @property
    def link_lifetime(self) -> timedelta:
        return timedelta(seconds=self.s3_link_lifetime_seconds)

    @property
    def orphan_age(self) -> timedelta:
        return timedelta(seconds=self.orphan_age_seconds)

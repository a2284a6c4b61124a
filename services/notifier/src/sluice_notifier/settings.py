"""What the notifier reads from its environment."""

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from sluice_runtime.settings import PREFIX, ServiceSettings


class ProvisionSettings(BaseSettings):
    """What provisioning needs: a database."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="ignore", hide_input_in_errors=True
    )

    database_url: SecretStr


class NotifierSettings(ServiceSettings):
    """How the notifier runs. Each field is the variable `SLUICE_<FIELD>`."""

    database_url: SecretStr

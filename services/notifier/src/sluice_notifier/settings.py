"""What the notifier reads from its environment."""

from pydantic import SecretStr

from sluice_runtime.settings import ServiceSettings, Settings


class ProvisionSettings(Settings):
    """What provisioning needs: a database."""

    database_url: SecretStr


class NotifierSettings(ServiceSettings):
    """How the notifier runs. Each field is the variable `SLUICE_<FIELD>`."""

    database_url: SecretStr

"""The bucket of the settings, seen from inside or, at another address, from outside."""

from sluice_runtime.objects import ObjectStore
from sluice_storage.settings import StoreSettings


def open_bucket(settings: StoreSettings, url: str | None = None) -> ObjectStore:
    """The bucket at `url`, or at the address that services use."""
    return ObjectStore(
        url or settings.s3_url,
        access_key=settings.s3_access_key.get_secret_value(),
        secret_key=settings.s3_secret_key.get_secret_value(),
        bucket=settings.s3_bucket,
        region=settings.s3_region,
    )

"""Makes the bucket."""

import asyncio
import sys

from sluice_runtime.settings import read_settings
from sluice_storage.bucket import open_bucket
from sluice_storage.settings import StoreSettings


async def provision(settings: StoreSettings) -> None:
    """Create the bucket if it is missing. Safe to repeat."""
    bucket = open_bucket(settings)
    created = await bucket.ensure_bucket()
    await bucket.close()
    sys.stdout.write(f"{'created' if created else 'found'} bucket {settings.s3_bucket}\n")


def main() -> None:
    """`sluice-storage provision`."""
    asyncio.run(provision(read_settings(StoreSettings)))

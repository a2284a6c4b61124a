"""`python -m sluice_storage` is `sluice-storage`."""

from sluice_storage.main import main

main()

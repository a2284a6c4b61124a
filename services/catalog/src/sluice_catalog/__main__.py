"""`python -m sluice_catalog` is `sluice-catalog`."""

from sluice_catalog.main import main

main()

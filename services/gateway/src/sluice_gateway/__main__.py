"""`python -m sluice_gateway` is `sluice-gateway`."""

from sluice_gateway.main import main

main()

"""`python -m sluice_notifier` is `sluice-notifier`."""

from sluice_notifier.main import main

main()

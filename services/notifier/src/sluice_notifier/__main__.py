"""`python -m sluice_notifier` is `sluice-notifier`."""

from sluice_runtime.command import run

_COMMANDS = {
    "serve": "sluice_notifier.main",
    "provision": "sluice_notifier.provision",
}


def main() -> None:
    """`sluice-notifier [serve|provision]`."""
    run("sluice-notifier", _COMMANDS)


if __name__ == "__main__":
    main()

"""`python -m sluice_storage` is `sluice-storage`."""

from sluice_runtime.command import run

_COMMANDS = {
    "serve": "sluice_storage.main",
    "provision": "sluice_storage.provision",
    "inspect": "sluice_storage.inspector.main",
}


def main() -> None:
    """`sluice-storage [serve|provision|inspect]`."""
    run("sluice-storage", _COMMANDS)


if __name__ == "__main__":
    main()

"""`python -m sluice_catalog` is `sluice-catalog`."""

from sluice_runtime.command import run

_COMMANDS = {
    "serve": "sluice_catalog.main",
    "provision": "sluice_catalog.provision",
}


def main() -> None:
    """`sluice-catalog [serve|provision]`."""
    run("sluice-catalog", _COMMANDS)


if __name__ == "__main__":
    main()

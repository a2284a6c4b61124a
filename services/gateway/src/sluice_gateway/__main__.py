"""`python -m sluice_gateway` is `sluice-gateway`."""

from sluice_runtime.command import run

_COMMANDS = {
    "serve": "sluice_gateway.main",
}


def main() -> None:
    """`sluice-gateway [serve]`."""
    run("sluice-gateway", _COMMANDS)


if __name__ == "__main__":
    main()

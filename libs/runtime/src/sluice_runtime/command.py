"""The command line of a service: one word says what to do."""

import sys
from collections.abc import Mapping
from importlib import import_module

_USUAL = "serve"


def run(name: str, commands: Mapping[str, str]) -> None:
    """Run `main()` of the module that the first argument stands for; without one, `serve`.

    No other module is imported: provisioning needs nothing of what serving needs, and the other
    way round.
    """
    arguments = sys.argv[1:] or [_USUAL]
    module = commands.get(arguments[0]) if len(arguments) == 1 else None
    if module is None:
        raise SystemExit(f"usage: {name} [{'|'.join(commands)}]")
    import_module(module).main()

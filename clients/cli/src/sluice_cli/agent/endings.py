"""How an agent ends.

The exit codes are those of `sluice_cli.failures`, written down again because that module loads
pydantic; a test holds the two together.
"""

ALL_DONE = 0
SOME_FAILED = 1
USAGE = 2
REFUSED = 3
NETWORK = 4
INTEGRITY = 5
INTERRUPTED = 130


class AgentError(Exception):
    """What ends an agent: a message for people and an exit code for programs."""

    def __init__(self, message: str, exit_code: int = USAGE) -> None:
        super().__init__(message)
        self.exit_code = exit_code

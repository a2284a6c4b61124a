"""A command as a process: its streams, its Ctrl-C, its exit code.

Whatever a command is asked, it loads this first, and `sluice agent` has no memory to spare: so this
imports the standard library only.
"""

import io
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn, TextIO

# Those of all commands; `sluice_cli.failures` has the same ones, and loads pydantic.
from sluice_cli.agent.endings import INTERRUPTED, SOME_FAILED

Program = Callable[[], int | None]


class Outlet(io.TextIOWrapper):
    """stdout or stderr that never raises: work that was begun goes on without its words.

    What the encoding cannot say is written as escapes. Once a write has failed, because the reader
    left or the disk is full, `failure` is set and the rest is lost.
    """

    failure: OSError | None = None

    @classmethod
    def over(cls, stream: TextIO | None) -> "Outlet":
        """Takes the place of `stream`, which is None when it was closed from the beginning."""
        if not isinstance(stream, io.TextIOWrapper):
            stream = Path(os.devnull).open("w")  # noqa: SIM115 - open as long as the process
        encoding, by_line, at_once = stream.encoding, stream.line_buffering, stream.write_through
        return cls(stream.detach(), encoding, "backslashreplace", None, by_line, at_once)

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError as error:
            self._give_up(error)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self.failure = self.failure or error
        # What is still in the buffer has to go somewhere, or the interpreter complains in the end.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)


def has_reader() -> bool:
    """Whether what is written to stdout still arrives, as far as the last write can tell."""
    return not isinstance(sys.stdout, Outlet) or sys.stdout.failure is None


def run(load: Callable[[], Program]) -> NoReturn:
    """Load a program, run it, and end the process with its exit code."""
    out, err = Outlet.over(sys.stdout), Outlet.over(sys.stderr)
    sys.stdout, sys.stderr = out, err
    # Who runs in the background may have been told to ignore it, and goes on doing so.
    listening = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    code: str | int | None
    try:
        if listening:
            signal.signal(signal.SIGINT, _leave)
        program = load()
        if listening:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        code = program()
    except SystemExit as end:
        code = end.code
    except KeyboardInterrupt:
        code = INTERRUPTED
    if listening:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    out.flush()
    # A reader that left has had enough. Any other loss is one.
    if out.failure is not None and not isinstance(out.failure, BrokenPipeError):
        print(f"cannot write the results: {out.failure.strerror}", file=err)
        code = code or SOME_FAILED
    sys.exit(code)


def _leave(_number: int, _frame: FrameType | None) -> None:
    """Nothing is in flight while a program is loaded, and importing does not pass on exceptions
    from everywhere."""
    os._exit(INTERRUPTED)

"""What the demonstration shows, and how it runs clients."""

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from sluice_devkit.environments import base_environment
from sluice_devkit.processes import ChildProcess, Program
from sluice_devkit.stack import Stack
from sluice_devkit.terminal import Printer, wants_colour

_CLIENT_SECONDS = 120.0
_SETTLED_SECONDS = 60.0
_POLL_SECONDS = 0.2


class DemoFailedError(RuntimeError):
    """Something came out otherwise than the demonstration promises."""


class Screen:
    """Prints what the clients write, and remembers who wrote it."""

    def __init__(self) -> None:
        self._print = Printer(sys.stdout, colour=wants_colour(sys.stdout, os.environ))
        self._lines: list[tuple[str, str]] = []

    def __call__(self, name: str, line: str) -> None:
        self._lines.append((name, line))
        self._print(name, line)

    def title(self, text: str) -> None:
        """A new part begins."""
        print(f"\n== {text}", flush=True)

    def said(self, name: str) -> list[str]:
        """The lines of that client, in order."""
        return [line for wrote, line in list(self._lines) if wrote == name]

    def shows(self, name: str, *words: str) -> bool:
        """Whether one line of that client had all the words."""
        return any(all(word in line for word in words) for line in self.said(name))


class Stage:
    """One stack, a folder, and a screen: all a part of the demonstration needs."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.stack = stack
        self.folder = folder
        self.screen = Screen()

    def client(
        self, name: str, *command: str, environment: Mapping[str, str] | None = None
    ) -> ChildProcess:
        """A client, told in its environment where the stack is."""
        where = {
            "SLUICE_BASE_URL": self.stack.url,
            "SLUICE_API_KEY": self.stack.key,
            "PYTHONUNBUFFERED": "1",
        }
        program = Program(
            name=name,
            command=command,
            environment=base_environment() | where | dict(environment or {}),
            log=self.folder / f"{name}.log",
        )
        return ChildProcess(program, self.screen)

    async def run(
        self, name: str, *command: str, environment: Mapping[str, str] | None = None
    ) -> None:
        """Run a client to its end; raises `DemoFailedError` unless that is a good one."""
        client = self.client(name, *command, environment=environment)
        client.start()
        try:
            code = await asyncio.to_thread(client.wait, _CLIENT_SECONDS)
        except TimeoutError as error:
            raise DemoFailedError(str(error)) from error
        finally:
            client.kill()
        if code != 0:
            raise DemoFailedError(client.describe_end())


async def until(look: Callable[[], Awaitable[bool]], otherwise: str) -> None:
    """Wait until `look` finds what it looks for; raises `DemoFailedError` with `otherwise`."""
    deadline = time.monotonic() + _SETTLED_SECONDS
    while not await look():
        if time.monotonic() > deadline:
            raise DemoFailedError(otherwise)
        await asyncio.sleep(_POLL_SECONDS)

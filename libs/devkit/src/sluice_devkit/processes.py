"""One supervised child process."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psutil

from sluice_devkit import launch

Echo = Callable[[str, str], None]
"""Takes the name of a process and one line it wrote, without the line end."""

_TAIL_LINES = 20
_GONE_SECONDS = 10.0

# The kernel kills a child when the *thread* that started it ends, not the process. So all children
# are started by one thread that lasts as long as this process does.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sluice-starter")


class ProcessFailedError(RuntimeError):
    """A child process ended, or did not get ready, when it should have."""


def is_gone(process: psutil.Process) -> bool:
    """Whether it runs no more. A zombie holds nothing; the init it waits for may never come."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@dataclass(frozen=True)
class Program:
    """What to run, and how to end it."""

    name: str
    command: Sequence[str]
    """First an absolute path, then its arguments; nothing secret, everyone can list it."""
    environment: Mapping[str, str]
    """The whole environment: nothing is inherited."""
    log: Path
    """Output is appended here."""
    stop_signal: signal.Signals = signal.SIGTERM
    account: str | None = None
    """The user to run as; ourselves if none. Only root may choose."""


@dataclass
class ChildProcess:
    """A program that can be started, stopped or killed, and started again.

    It leads a process group of its own, so Ctrl-C in a terminal reaches only us, and on Linux it
    dies with us, even when we are killed.
    """

    program: Program
    echo: Echo | None = None
    _process: subprocess.Popen[bytes] | None = None
    _pump: threading.Thread | None = None
    _tail: deque[str] = field(default_factory=lambda: deque(maxlen=_TAIL_LINES))

    @property
    def name(self) -> str:
        return self.program.name

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process and self.running else None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """How the last run ended; minus the number of a signal; None while running or unstarted."""
        return self._process.poll() if self._process else None

    def start(self) -> None:
        """Start it; returns at once.

        Raises:
            ProcessFailedError: it runs already.
        """
        if self.running:
            raise ProcessFailedError(f"{self.name} is already running")
        self._tail.clear()
        self.program.log.parent.mkdir(parents=True, exist_ok=True)
        self._process = _starter.submit(self._spawn).result()
        self._pump = threading.Thread(
            target=self._carry, args=(self._process.stdout,), name=f"log-{self.name}", daemon=True
        )
        self._pump.start()

    def wait(self, seconds: float | None = None) -> int:
        """Its exit code.

        Raises:
            TimeoutError: it still runs after `seconds`.
        """
        if self._process is None:
            raise ProcessFailedError(f"{self.name} was never started")
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"{self.name} still runs after {seconds} s") from None
        if self._pump:
            # Not for ever: a grandchild may hold the pipe open.
            self._pump.join(1.0)
        return code

    def stop(self, seconds: float = 15.0) -> None:
        """Ask it to end; kill it when it has not after `seconds`. Leaves no descendant."""
        if self._process is None:
            return
        family = self._family()
        if self.running:
            self._process.send_signal(self.program.stop_signal)
            with suppress(TimeoutError):
                self.wait(seconds)
        self._end(family)

    def kill(self) -> None:
        """SIGKILL it and all its descendants, and wait until they are gone."""
        if self._process is not None:
            self._end(self._family())

    def describe_end(self) -> str:
        """One line on how it ended, then the last lines it wrote."""
        lines = [f"{self.name} ended with exit code {self.exit_code}", *self._tail]
        return "\n  ".join(lines)

    def _spawn(self) -> subprocess.Popen[bytes]:
        program = self.program
        launcher = [sys.executable, "-I", "-S", launch.__file__]
        return subprocess.Popen(
            [*launcher, str(os.getpid()), program.account or "-", *program.command],
            env=dict(program.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _carry(self, output: IO[bytes]) -> None:
        with self.program.log.open("ab", buffering=0) as log, output:
            for raw in output:
                log.write(raw)
                line = raw.decode(errors="replace").rstrip()
                self._tail.append(line)
                if self.echo:
                    self.echo(self.name, line)

    def _family(self) -> list[psutil.Process]:
        """This process and its descendants. PostgreSQL puts each of its own in a new group, so
        signalling a group would miss them; psutil also notices a reused process id."""
        if self._process is None or not self.running:
            return []
        with suppress(psutil.NoSuchProcess):
            leader = psutil.Process(self._process.pid)
            return [leader, *leader.children(recursive=True)]
        return []

    def _end(self, family: list[psutil.Process]) -> None:
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        deadline = time.monotonic() + _GONE_SECONDS
        while not all(is_gone(member) for member in family[1:]) and time.monotonic() < deadline:
            time.sleep(0.005)
        self.wait(_GONE_SECONDS)

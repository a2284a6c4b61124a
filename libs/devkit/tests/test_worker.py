"""The example of a worker, when somebody presses Ctrl-C."""

import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from sluice_devkit.environments import base_environment
from sluice_devkit.ports import HOST

PROGRAM = Path(__file__).parents[3] / "examples" / "transcription_worker.py"


def interrupt(process: subprocess.Popen[bytes]) -> bytes:
    """Press Ctrl-C until it ends, as one would; what it wrote to stderr."""
    for _ in range(10):
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=5)[1]
    raise AssertionError("it goes on for ever")


def test_a_worker_that_is_interrupted_ends_quietly() -> None:
    # A server that says nothing keeps the worker waiting where it stands.
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
        where = {"SLUICE_NATS_URL": f"nats://{HOST}:{port}", "SLUICE_NATS_PASSWORD": "x"}
        process = subprocess.Popen(
            [sys.executable, str(PROGRAM)],
            env=base_environment() | where,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            # Tests that run in the background ignore interrupts, and so would their children.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        try:
            listener.settimeout(30)
            first, _ = listener.accept()
            # It comes again when it has waited in vain.
            with first, listener.accept()[0]:
                err = interrupt(process)
        finally:
            process.kill()
            process.wait()
    assert process.returncode == 0
    assert b"Traceback" not in err

"""The process that reads uploaded files: one request, one answer, one file after the other.

`python -I -m sluice_storage.inspector.child PARENT`, with a socket as standard input. A request is
one byte with an open file beside it; an answer is one line of JSON, the fields of `Finding`. Linux
only. It loads the decoders and nothing of ours that talks to anybody.
"""

import contextlib
import ctypes
import json
import os
import resource
import signal
import socket
import sys
from typing import Any

from sluice_storage.inspector.media import Unreadable, read_media

MIB = 1024**2

READY = b"ready\n"
# Processor time for one file. The kernel ends what does not stop decoding in time by itself.
CPU_SECONDS = 60
_DECODING_SECONDS = 40.0
# Address space besides what is taken when the decoders are loaded, which is about 120 MiB.
MEMORY_BYTES = 512 * MIB
_OPEN_FILES = 16
_NICENESS = 19

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000


def confine(parent: int) -> None:
    """Give up what reading a file does not take; from here on there is no way back.

    Decoders run on what strangers sent. Whoever takes one over finds no network, no place to write
    to, no process to start, no environment, and little memory and time.
    """
    os.nice(_NICENESS)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # A network of its own has nothing in it. Where the kernel or a container forbids this, the
    # protocols that FFmpeg may use, which are none, have to do.
    libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
    # After the change of user, which clears it.
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        # The parent died before the line above could tell the kernel to tell us.
        sys.exit("the process that started this one is gone")
    with open("/proc/self/statm") as statm:
        taken = int(statm.read().split()[0]) * resource.getpagesize()
    for what, most in (
        (resource.RLIMIT_AS, taken + MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
    ):
        resource.setrlimit(what, (most, most))


def allow_time() -> None:
    """Processor time for one more file, counted from what was used so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + 1 + CPU_SECONDS
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def examine(descriptor: int) -> dict[str, Any]:
    """What there is to say of an open file; whatever it is, there is something."""
    try:
        return {"readable": True, "media": read_media(descriptor, _DECODING_SECONDS)}
    except Unreadable as error:
        return {"readable": False, "reason": error.reason}
    except MemoryError:
        return {"readable": False, "reason": "out-of-memory"}
    except Exception:  # noqa: BLE001 - a binding that wonders at a file says so in many ways
        return {"readable": False, "reason": "broken"}


def serve(channel: socket.socket) -> None:
    """Answer until the other side is gone."""
    channel.sendall(READY)
    while True:
        request, descriptors, _, _ = socket.recv_fds(channel, 1, 1)
        if not request:
            return
        (descriptor,) = descriptors
        allow_time()
        try:
            answer = examine(descriptor)
        finally:
            os.close(descriptor)
        channel.sendall(json.dumps(answer).encode() + b"\n")


def main() -> None:
    confine(int(sys.argv[1]))
    # A reader that is gone wants no answer.
    with contextlib.suppress(BrokenPipeError), socket.socket(fileno=0) as channel:
        serve(channel)


if __name__ == "__main__":
    main()

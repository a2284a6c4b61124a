"""Whether somebody still writes to a file."""

import fcntl
import os
import signal
import sys
from pathlib import Path


def is_being_written(path: Path) -> bool | None:
    """Whether somebody has a file open for writing; None when the system does not tell.

    A read lease is granted only where nobody has. It is asked for and given back at once; who opens
    the file in between waits that long. Source: Linux, fcntl(2), "Leases".

    Raises:
        OSError: the file cannot be opened.
    """
    if sys.platform != "linux":
        return None
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        # Of those who want to write, the holder is told by a signal: by one that does no harm.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return True
    except OSError:
        return None  # somebody else's file, or a file system without leases
    else:
        return False
    finally:
        os.close(descriptor)

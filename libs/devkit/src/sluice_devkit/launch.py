"""Become another program that cannot outlive its parent: `launch.py PARENT ACCOUNT PROGRAM…`.

Run as a script of its own rather than as a hook between fork and exec, which is unsafe in a process
with threads. ACCOUNT is a user name, or `-` to stay who we are; giving up root is for PostgreSQL,
which refuses to run as root. Imports the standard library only: it starts without site packages.
"""

import ctypes
import os
import pwd
import signal
import sys
from contextlib import suppress

_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAP_DAC_OVERRIDE = 1
_CAPABILITY_VERSION_3 = 0x20080522


def become(account: str, libc: ctypes.CDLL) -> None:
    """Stop being root, but keep the right to pass through folders only root may enter.

    The program and the data may lie below such a folder (a checkout in `/root`). Opening that
    folder to everyone would be worse than one capability. Where the capability is not to be had,
    ordinary permissions decide.
    """
    entry = pwd.getpwnam(account)
    if sys.platform == "linux":
        libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
    os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
    if sys.platform == "linux":
        bit = 1 << _CAP_DAC_OVERRIDE
        header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
        # Effective, permitted, inheritable; the second three hold the capabilities above 31.
        sets = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)
        if libc.capset(header, sets) == 0:
            libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE, 0, 0)


def main(arguments: list[str]) -> None:
    parent, account, *command = arguments
    libc = ctypes.CDLL(None, use_errno=True)
    if account != "-":
        become(account, libc)
    if sys.platform == "linux":
        # After the change of user: that clears it.
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        # Eight servers on few processors: whoever is woken waits for its turn, instead of stopping
        # another in the middle of its work.
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    if os.getppid() != int(parent):
        # The parent died before the line above could tell the kernel to tell us.
        sys.exit("the process that started this one is gone")
    os.execv(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])

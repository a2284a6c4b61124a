"""Ports on the loopback interface."""

import random
import re
import socket
import sys

HOST = "127.0.0.1"
HIGHEST_OF_ALL = 65_535

# Below the range from which kernels take the source ports of outgoing connections (32768 on Linux,
# 49152 elsewhere). A client that keeps knocking at a stopped server inside that range can be given
# the very port it knocks at, connect to itself, and so keep the server from coming back.
LOWEST, HIGHEST = 20_000, 32_000

# Ports are given out from blocks, each claimed by one process: two that start servers at the same
# time would find the same port free.
_BLOCK = 100
_claims: list[socket.socket] = []
_ports: list[int] = []


class PortTakenError(RuntimeError):
    """Something already listens on a port that was asked for."""


class NoPortError(RuntimeError):
    """What was given as a port cannot be one."""


def port_number(text: str) -> int:
    """The port in `text`; 0 is none, since only a server that picks its own could use it.

    Raises:
        NoPortError: no server can listen there.
    """
    if not re.fullmatch("[0-9]{1,5}", text) or not 1 <= int(text) <= HIGHEST_OF_ALL:
        raise NoPortError(f"{text} is no port; choose one from 1 to {HIGHEST_OF_ALL}")
    return int(text)


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the servers do: without it, connections of a server that just stopped count as taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def require_free(port: int) -> int:
    """The port itself.

    Raises:
        PortTakenError: something listens there.
    """
    if not is_free(port):
        raise PortTakenError(f"port {port} on {HOST} is already in use; choose another")
    return port


def free_ports(count: int) -> list[int]:
    """`count` different ports nobody listens on at the moment, and that were not given before.

    Raises:
        PortTakenError: there are not so many.
    """
    found: list[int] = []
    while len(found) < count:
        if not _ports:
            _ports.extend(_claim_block())
        port = _ports.pop()
        if is_free(port):
            found.append(port)
    return found


def _claim_block() -> list[int]:
    """The ports of a block no living process has claimed, in any order."""
    firsts = range(LOWEST, HIGHEST, _BLOCK)
    for first in random.sample(firsts, len(firsts)):
        if _claim(first):
            return random.sample(range(first, first + _BLOCK), _BLOCK)
    raise PortTakenError(f"all ports between {LOWEST} and {HIGHEST} were given out")


def _claim(first: int) -> bool:
    """Hold a name for as long as this process lives; only Linux has such names without files."""
    claim = socket.socket(socket.AF_UNIX)
    try:
        if sys.platform == "linux":
            claim.bind(f"\0sluice-ports-{first}")
    except OSError:
        claim.close()
        return False
    _claims.append(claim)
    return True

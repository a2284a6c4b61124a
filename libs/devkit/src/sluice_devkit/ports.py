"""Ports on the loopback interface."""

import random
import socket

HOST = "127.0.0.1"

# Below the range from which kernels take the source ports of outgoing connections (32768 on Linux,
# 49152 elsewhere). A client that keeps knocking at a stopped server inside that range can be given
# the very port it knocks at, connect to itself, and so keep the server from coming back.
LOWEST, HIGHEST = 20_000, 32_000

# Ports this process gave out already: those of servers that were not started yet look free.
_given: set[int] = set()


class PortTakenError(RuntimeError):
    """Something already listens on a port that was asked for."""


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
    """`count` different ports nobody listens on at the moment, and that were not given before."""
    found: list[int] = []
    for port in random.sample(range(LOWEST, HIGHEST), HIGHEST - LOWEST):
        if len(found) == count:
            break
        if port not in _given and is_free(port):
            found.append(port)
    if len(found) < count:
        raise PortTakenError(f"fewer than {count} free ports between {LOWEST} and {HIGHEST}")
    _given.update(found)
    return found

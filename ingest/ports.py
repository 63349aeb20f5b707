"""Ports of loopback for the processes that we start ourselves: the embedded broker and its like."""

import random
import socket

HOST = "127.0.0.1"

# Below the ephemeral ports of Linux (32768) and macOS (49152): while the broker is down, a client
# that dials an ephemeral port again and again can be given that very port as its own, connects
# to itself, and the broker cannot come back.
PORTS = range(20_000, 32_000)


def free_port(*taken: int) -> int:
    """A port nobody listens on, other than those taken; somebody may still be faster."""
    for port in random.SystemRandom().sample(PORTS, 100):
        if port not in taken and free(port):
            return port
    raise OSError(f"no free port of {HOST} between {PORTS.start} and {PORTS.stop}")


def free(port: int) -> bool:
    """Whether a server could listen on this port of loopback now."""
    with socket.socket() as probe:
        # As Java does: connections of the last run that still linger do not block the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True

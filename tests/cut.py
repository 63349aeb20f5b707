"""A network link that can be cut: a proxy before the broker that stops passing bytes on, and says nothing.

Connections stay open and new ones are taken, as behind a router that lost its way: nobody is told.
"""

import socket
import threading
from typing import Any

import pytest
from aiokafka import client

CHUNK = 65536


class Link:
    """The way of the SDK's Kafka clients to one broker. Made by `link`."""

    def __init__(self, host: str, port: int) -> None:
        self._broker = host, port
        self._open = threading.Event()
        self._open.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self._open.clear()

    def heal(self) -> None:
        self._open.set()

    def close(self) -> None:
        self._open.set()
        for one in self._sockets:
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return  # closed
            far = socket.create_connection(self._broker)
            self._sockets += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        try:
            while data := one.recv(CHUNK):
                self._open.wait()
                other.sendall(data)
        except OSError:
            pass
        finally:
            one.close()
            other.close()


def link(bootstrap: str, monkeypatch: pytest.MonkeyPatch) -> Link:
    """Lead the clients of this process's SDK over a link; those of the test itself go straight."""
    host, _, port = bootstrap.rpartition(":")
    made, real = Link(host, int(port)), client.create_conn

    async def led(host: str, number: int, *rest: Any, **more: Any) -> Any:
        sdk = number == int(port) and threading.current_thread().name == "tracefuse"
        return await real(host, made.port if sdk else number, *rest, **more)

    monkeypatch.setattr(client, "create_conn", led)
    return made

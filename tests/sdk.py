"""An SDK without a broker, for tests: what it sent lies in memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tracefuse
from tracefuse.credentials import Credential, issue
from tracefuse.events import Event, decode
from tracefuse.signing import CommandSigner
from tracefuse.transports import MemoryTransport

SIGNER = CommandSigner("auto/1", b"a" * 32)
CREDENTIAL: Credential = issue(b"m" * 32, "acme", "refunds", {SIGNER.kid: SIGNER.public})


@dataclass
class Sent:
    """What an SDK sent; complete once its block is left."""

    fuse: tracefuse.Fuse
    transport: MemoryTransport = field(default_factory=MemoryTransport)

    def events(self, *names: str) -> list[Event]:
        """Events in their order, all or those of some names."""
        found = [decode(line) for sent in self.transport.sent for line in sent.value.split(b"\n")]
        found.sort(key=lambda event: event.seq)
        return [event for event in found if not names or event.name in names]

    def one(self, name: str) -> Event:
        (event,) = self.events(name)
        return event


@contextmanager
def sdk(spool: Path | None = None, **settings: Any) -> Iterator[Sent]:
    """A fuse of acme/refunds over a transport in memory; closed, and so flushed, at the end."""
    transport = MemoryTransport()
    fuse = tracefuse.init(
        credential=CREDENTIAL, spool=spool, transport=lambda: transport, **settings
    )
    try:
        yield Sent(fuse, transport)
    finally:
        fuse.close()

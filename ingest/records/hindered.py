"""A call that others may have stood in the way of: what detect tells correlate of it."""

import msgspec

from ingest.records.marks import NO_SRC, Src


class Hindered(msgspec.Struct, tag="hindered", gc=False, kw_only=True, omit_defaults=True):
    """A call of an agent failed by a lock, a conflict or a timeout at what it was about."""

    src: Src = NO_SRC
    tenant: str
    agent_id: str
    tool: str
    kind: str  # lock, conflict, timeout
    about: list[int]  # 32 bits of keyed hashes: never empty
    trace_id: str = ""
    event_id: str = ""
    owner: str = ""
    routes: list[str] = []

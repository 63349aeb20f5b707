"""Who reads a partition, and what of it could not be read."""

import msgspec


class Owner(msgspec.Struct, tag="owner", gc=False, kw_only=True):
    """A worker takes a partition: its term is this record's offset."""

    worker: str
    build: str
    settings: str


class DeadLetter(msgspec.Struct, tag="dead", gc=False, kw_only=True, omit_defaults=True):
    """Bytes that could not be read, with their origin."""

    topic: str
    partition: int
    offset: int
    line: int
    reason: str
    detail: str = ""
    sha256: str
    raw: bytes  # base64 on the wire
    headers: list[tuple[str, str]] = []

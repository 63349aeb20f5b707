"""What could not be read, kept with its origin and reason, byte for byte up to half a megabyte."""

import hashlib

from ingest import codec
from ingest.records import DeadLetter, Src
from tracefuse.errors import DecodeError

DETAIL_MAX = 256
# In base64 a third longer: it must fit a record, or what can't be read would stop the reader. The whole
# is in its topic, and the hash is that of the whole.
RAW_BYTES_MAX = 512 * 1024


def letter(src: Src, error: DecodeError, raw: bytes) -> bytes:
    """The dead-letter line of `raw`, read at `src`."""
    topic, partition, offset, line, _ = src
    dead = DeadLetter(
        topic=topic, partition=partition, offset=offset, line=line, reason=error.reason,
        detail=str(error)[:DETAIL_MAX], sha256=hashlib.sha256(raw).hexdigest(),
        raw=raw[:RAW_BYTES_MAX],
    )  # fmt: skip
    return codec.encode(dead)

"""Bodies of requests and answers, packed and unpacked. Pure: bytes in, bytes out.

First and last step of `sql/endpoint.py`, which reads bodies as they came over the wire.
"""

import zlib
from typing import Any

import lz4.frame
import zstandard

from sql.protocol import NOT_IMPLEMENTED, QUERY_IS_TOO_LARGE, Refused

CANNOT_DECOMPRESS = 271  # ErrorCodes.cpp of ClickHouse

# A slice may not expand to more than memory holds, and must be large beside a call's cost.
_SLICE_BYTES = 64 * 1024


def decompress(body: bytes, encoding: str, limit: int) -> bytes:
    """The plain body of a request.

    One body may hold any number of frames: clickhouse-connect makes one of each block. A decoder
    that stops after the first frame loses rows without an error.

    Parameters
    ----------
    body
        As received.
    encoding
        `Content-Encoding`: lz4, zstd, gzip, deflate, identity or empty.
    limit
        Most bytes that may come out.

    Raises
    ------
    Refused
        For the client, when the body is torn, damaged, too large or in another encoding.

    Examples
    --------
    >>> two_frames = lz4.frame.compress(b"one ") + lz4.frame.compress(b"two")
    >>> decompress(two_frames, "lz4", limit=100)
    b'one two'
    """
    if encoding in ("", "identity"):
        return body
    if encoding not in ("lz4", "zstd", "gzip", "deflate"):
        raise Refused(NOT_IMPLEMENTED, f"Content-Encoding {encoding} is not supported.")
    try:
        return _all_frames(body, encoding, limit)
    except (RuntimeError, zlib.error, zstandard.ZstdError) as error:
        raise Refused(CANNOT_DECOMPRESS, f"Damaged {encoding} body: {error}.", 400) from error


def _all_frames(body: bytes, encoding: str, limit: int) -> bytes:
    plain, size, start = [], 0, 0
    decoder: Any = None
    while start < len(body):
        decoder = decoder or _decoder(encoding)
        taken = body[start : start + _SLICE_BYTES]
        plain.append(decoder.decompress(taken))
        size += len(plain[-1])
        if size > limit:
            raise Refused(QUERY_IS_TOO_LARGE, f"The body decompresses to over {limit} bytes.")
        start += len(taken)
        if decoder.eof:  # what this frame left over opens the next one
            start -= len(decoder.unused_data or b"")
            decoder = None
    if decoder is not None:
        raise Refused(CANNOT_DECOMPRESS, f"The last {encoding} frame is cut off.", 400)
    return b"".join(plain)


def _decoder(encoding: str) -> Any:
    if encoding == "lz4":
        return lz4.frame.LZ4FrameDecompressor()
    if encoding == "zstd":
        return zstandard.ZstdDecompressor().decompressobj()
    return zlib.decompressobj(31 if encoding == "gzip" else 15)


def compress(body: bytes, accepted: str) -> tuple[bytes, str]:
    """The body and its `Content-Encoding`: the cheapest of those the client accepts, or none.

    >>> compress(b"rows", "br")
    (b'rows', 'identity')
    """
    names = {name.partition(";")[0].strip() for name in accepted.split(",")}
    if "lz4" in names:
        return lz4.frame.compress(body), "lz4"
    if "zstd" in names:
        return zstandard.compress(body, 1), "zstd"
    if "gzip" in names:
        packer = zlib.compressobj(1, wbits=31)
        return packer.compress(body) + packer.flush(), "gzip"
    return body, "identity"

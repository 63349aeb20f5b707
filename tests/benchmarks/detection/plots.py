"""A page with all figures and a picture of each file, without a plotting library.

Above the series, below its score: windows shaded, alarms within them green, others red, the threshold a
line. PNG is drawn here, pixel by pixel; words are on the page.
"""

import html
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from detectors import SeriesNovelty
from tests.benchmarks.detection.nab_tree import Floats, Truth

Pixels = NDArray[np.uint8]

_WIDTH, _ABOVE, _BELOW = 1200, 180, 80
_LINE, _WINDOW, _HIT, _FALSE, _MARK = (
    (40, 70, 130), (255, 226, 200), (20, 150, 60), (210, 30, 30), (150, 150, 150),
)  # fmt: skip


class Said(Protocol):
    """Scores and alarms by file."""

    @property
    def scores(self) -> Mapping[str, Floats]: ...
    @property
    def alarms(self) -> Mapping[str, Floats]: ...


def png(pixels: Pixels) -> bytes:
    """Rows of red, green, blue as a PNG file.

    >>> png(np.zeros((2, 3, 3), dtype=np.uint8))[:8]
    b'\\x89PNG\\r\\n\\x1a\\n'
    """
    height, width, _ = pixels.shape

    def chunk(kind: bytes, body: bytes) -> bytes:
        checked = kind + body
        return struct.pack(">I", len(body)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)  # each row: unfiltered
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows, 9)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def picture(values: Floats, scores: Floats, alarms: Floats, window: NDArray[np.int64]) -> Pixels:
    """One file: the series above, its score with the threshold below."""
    pixels = np.full((_ABOVE + _BELOW, _WIDTH, 3), 255, dtype=np.uint8)
    at = (np.arange(len(values)) * (_WIDTH - 1) / max(len(values) - 1, 1)).astype(int)
    pixels[:, at[window >= 0]] = _WINDOW
    known = values[np.isfinite(values)]
    low, high = (known.min(), known.max()) if len(known) else (0.0, 1.0)
    _trace(pixels[:_ABOVE], at, (values - low) / ((high - low) or 1.0))
    top = SeriesNovelty.bounds[1]
    pixels[_ABOVE + round((1 - SeriesNovelty.threshold / top) * (_BELOW - 1))] = _MARK
    _trace(pixels[_ABOVE:], at, scores / top)
    for row in np.flatnonzero(alarms):
        pixels[:, at[row]] = _HIT if window[row] >= 0 else _FALSE
    return pixels


def _trace(panel: Pixels, at: NDArray[np.int_], heights: Floats) -> None:
    """A line: in each column all that lies between the lowest and the highest value."""
    rows = np.round((1 - np.clip(np.nan_to_num(heights), 0, 1)) * (len(panel) - 1)).astype(int)
    before = np.concatenate([rows[:1], rows[:-1]])
    for column, first, last in zip(
        at, np.minimum(rows, before), np.maximum(rows, before), strict=True
    ):
        panel[first : last + 1, column] = _LINE


def write(
    folder: Path, series: Mapping[str, list[float]], truth: Mapping[str, Truth], said: Said,
    rows: Mapping[str, Any], table: str,
) -> None:  # fmt: skip
    """`index.html` with the table, and a PNG of each file."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = [
        "<!doctype html><meta charset=utf-8><title>Detectors on series</title>",
        "<style>body{font-family:sans-serif;margin:2em}img{width:100%}</style>",
        f"<h1>Detectors on series</h1><pre>{html.escape(table)}</pre>",
        f"<p>Below: {html.escape(next(iter(rows)))}. Windows shaded, alarms within them green, "
        "false ones red; under each series its score and the threshold.</p>",
    ]
    for name, values in series.items():
        file = name.replace("/", "__").removesuffix(".csv") + ".png"
        one = picture(
            np.array(values), said.scores[name], said.alarms[name], truth[name].window
        )  # fmt: skip
        (folder / file).write_bytes(png(one))
        title = html.escape(name)
        parts.append(f'<h2>{title}</h2><img src="{file}" alt="{title}">')
    (folder / "index.html").write_text("\n".join(parts), encoding="utf-8")

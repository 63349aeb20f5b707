"""Nearest neighbours in one series: of its newest value, and of its newest window.

Shared by detectors of series; no detector. Distances carry the unit of the series, so they mean
something only against one another.
"""

from array import array
from bisect import bisect_left, insort
from typing import Any

import numpy as np
from numpy.typing import NDArray

NEIGHBOURS = 5
"""One odd row in the past must not excuse the next. 3 do alike; 10 move a score by some points."""
_NOTHING = 1e-9  # of the magnitude: less than that is rounding, not a difference


class History:
    """The last `size` values of a series in one piece, oldest first.

    At most 16 bytes a value, 8 of them in a checkpoint; 0.3 µs.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._buffer = np.zeros(0)
        self._end = 0

    def append(self, value: float) -> None:
        """Take the newest value."""
        if self._end == len(self._buffer):
            self._make_room()
        self._buffer[self._end] = value
        self._end += 1

    def _make_room(self) -> None:
        """Twice the room, up to twice the size: moved so seldom that it costs nothing on average."""
        kept = self.last(self.size)
        buffer = np.zeros(min(2 * self.size, max(64, 2 * len(kept))))
        buffer[: len(kept)] = kept
        self._buffer, self._end = buffer, len(kept)

    def last(self, count: int) -> NDArray[np.float64]:
        """The newest `count` values, or as many as there are. A view: read it, don't keep it."""
        return self._buffer[max(0, self._end - min(count, self.size)) : self._end]

    def __getstate__(self) -> dict[str, Any]:
        return {"size": self.size, "values": array("d", self.last(self.size).tobytes())}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.size = state["size"]
        self._buffer = np.array(state["values"], dtype=np.float64)
        self._end = len(self._buffer)


class Values:
    """Values in order of size, to ask how far a new one is from those most like it. 8 bytes a value,
    2 µs.
    """

    def __init__(self, values: NDArray[np.float64] | None = None) -> None:
        self._ranked = array("d", () if values is None else np.sort(values).tobytes())

    def __len__(self) -> int:
        return len(self._ranked)

    def add(self, value: float) -> None:
        """Take a value."""
        insort(self._ranked, value)

    def drop(self, value: float) -> None:
        """Let go a value that was taken."""
        del self._ranked[bisect_left(self._ranked, value)]

    def quantile(self, q: float) -> float:
        """The value below which a share of `q` lies; of no values it is an error to ask."""
        return self._ranked[round(q * (len(self._ranked) - 1))]

    def distance(self, value: float) -> float:
        """Mean distance to the 5 nearest values; asks for at least 5."""
        ranked = self._ranked
        above = bisect_left(ranked, value)
        below, total = above - 1, 0.0
        for _ in range(NEIGHBOURS):
            if below >= 0 and (
                above == len(ranked) or value - ranked[below] <= ranked[above] - value
            ):
                total += value - ranked[below]
                below -= 1
            else:
                total += ranked[above] - value
                above += 1
        found = total / NEIGHBOURS
        return found if found > _NOTHING * abs(value) else 0.0


class Shingles:
    """Windows of `points` values, `stride` rows apart, each the mean of its `stride` rows.

    The newest window is compared with those that ended before it began, so that it never meets
    itself; of those with the latest half of what was seen, between 300 and `reach`. What came first
    is often a start-up and is let go early.

    Examples
    --------
    >>> history, shingles = History(1500), Shingles(points=4, stride=1, reach=1000)
    >>> for i in range(400):
    ...     history.append(float(i % 7))
    >>> shingles.compare(history, 400)[0]
    0.0
    >>> history.append(20.0)
    >>> round(shingles.compare(history, 401)[0], 3)
    15.133
    """

    def __init__(self, points: int, stride: int, reach: int, share: float = 0.5) -> None:
        self.points, self.stride, self.reach, self.share = points, stride, reach, share

    @property
    def rows(self) -> int:
        """Rows of history that it needs at most."""
        return self.reach + 2 * self.points * self.stride

    def compare(self, history: History, n: int) -> tuple[float, float] | None:
        """Distance to the 5 windows most like the newest one, and to all of them, root mean square.

        `n` is the rows seen so far. None while there are too few. Cost grows with `reach * points`.
        """
        squares = self._squares(history, n)
        if squares is None:
            return None
        nearest = np.sqrt(np.partition(squares, NEIGHBOURS - 1)[:NEIGHBOURS])
        return float(nearest.sum()) / NEIGHBOURS, float(np.sqrt(squares.sum() / len(squares)))

    def nearest(self, history: History, n: int) -> int | None:
        """How many rows ago the window most like the newest one ended."""
        squares = self._squares(history, n)
        if squares is None:
            return None
        return len(squares) - int(squares.argmin()) + self.points * self.stride - 1

    def _squares(self, history: History, n: int) -> NDArray[np.float64] | None:
        """Squared distance of the newest window to each of the earlier ones, oldest first."""
        gap, width = self.points * self.stride, (self.points - 1) * self.stride + 1
        train = int(min(self.reach, max(300, self.share * n)))
        series = history.last(train + 2 * gap)
        if self.stride > 1:
            series = _means(series, self.stride)
        windows = min(train, len(series) - width - gap + 1)
        if windows < 4 * NEIGHBOURS:
            return None
        series = series[-(windows + width + gap - 1) :]
        step = series.strides[0]
        shape, steps = (windows, self.points), (step, step * self.stride)
        past: NDArray[np.float64] = np.lib.stride_tricks.as_strided(series, shape, steps)
        newest = series[len(series) - width :: self.stride]
        apart = past - newest
        squares: NDArray[np.float64] = np.einsum("ij,ij->i", apart, apart)
        squares[squares <= (_NOTHING * float(np.abs(newest).max())) ** 2 * self.points] = 0.0
        return squares


def _means(series: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Mean of each `count` values in a row."""
    sums = np.cumsum(series)
    sums[count:] = sums[count:] - sums[:-count]
    return sums[count - 1 :] / count

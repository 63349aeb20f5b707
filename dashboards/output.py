"""What commands say: tables and lines for people, JSON for programs. The only place that prints.

Values come from agents, so control characters never reach the terminal.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any


def plain(value: object) -> str:
    r"""Text that a terminal shows and does not obey.

    >>> plain("red \x1b[31m" + chr(10) + "next")
    'red \\x1b[31m\\nnext'
    """
    text = "" if value is None else str(value)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def clock(us: int) -> str:
    """Time of day of µs since the epoch, UTC.

    >>> clock(1_700_000_000_123_456)
    '22:13:20.123'
    """
    return datetime.fromtimestamp(us / 1e6, UTC).strftime("%H:%M:%S.%f")[:-3]


class Output:
    """Where one command's answer goes."""

    def __init__(self, as_json: bool = False):
        self.as_json = as_json

    def say(self, text: str) -> None:
        """A line for people, also between answers: progress, hints. Not part of JSON."""
        if not self.as_json:
            print(plain(text), flush=True)

    def record(self, record: Mapping[str, Any], text: str) -> None:
        """One answer: the record as a line of JSON, or its text."""
        line = json.dumps(record, default=str, ensure_ascii=False) if self.as_json else plain(text)
        print(line, flush=True)

    def table(self, rows: Sequence[Mapping[str, Any]], columns: Sequence[str], none: str) -> None:
        """Many answers: a JSON list, or aligned columns; `none` is said where there are none."""
        if self.as_json:
            print(json.dumps(list(rows), default=str, ensure_ascii=False))
            return
        if not rows:
            self.say(none)
            return
        cells = [[plain(row.get(column, "")) for column in columns] for row in rows]
        lines = [[column.upper().replace("_", " ") for column in columns], *cells]
        widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
        for line in lines:
            print("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip())

    def error(self, text: str, code: int) -> None:
        """Why the command failed: one line on the error stream."""
        if self.as_json:
            print(json.dumps({"error": text, "code": code}), file=sys.stderr)
        else:
            print(f"tracefuse: {plain(text)}", file=sys.stderr)

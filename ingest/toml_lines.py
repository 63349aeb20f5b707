"""On which line of a TOML text a key or table stands, for errors that a person has to find. Pure.

The standard parser forgets lines. So a text that it has read as a whole is given to it once more,
statement by statement.
"""

import re
import tomllib
from typing import Any

Path = tuple[str | int, ...]
_AT = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


def lines(text: str) -> dict[Path, int]:
    r"""By path the line (from 1) of each key, table and item of a valid text.

    >>> found = lines('agent = "refunds"\n[tools."crm.refund"]\npoll = true')
    >>> found["tools", "crm.refund", "poll"], found["tools",]
    (3, 2)
    """
    found: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    table: Path = ()
    numbered = list(enumerate(text.replace("\r\n", "\n").split("\n"), start=1))
    while numbered:
        number, line = numbered.pop(0)
        if line.lstrip().startswith("["):
            table = _header(line, counts)
            _note(found, table, number)
            continue
        chunk = line
        while (value := _parsed(chunk)) is None and numbered:
            chunk = f"{chunk}\n{numbered.pop(0)[1]}"
        _values(found, table, value or {}, number)
    return found


def line_of(found: dict[Path, int], path: Path) -> int:
    """Line of a path, or of the nearest thing around it that was written; 1 where nothing was."""
    for length in range(len(path), 0, -1):
        if path[:length] in found:
            return found[path[:length]]
    return 1


def place(error: tomllib.TOMLDecodeError, text: str) -> tuple[int, str]:
    """Line and words of the parser's own error."""
    words = str(error)
    at = _AT.search(words)
    number = int(at[1]) if at and at[1] else len(text.rstrip("\n").split("\n"))
    return number, _AT.sub("", words)


def _parsed(chunk: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(chunk)
    except tomllib.TOMLDecodeError:
        return None


def _header(line: str, counts: dict[Path, int]) -> Path:
    """Path of a table's header; an item of an array of tables is counted."""
    value: Any = tomllib.loads(line)
    path: Path = ()
    while value:
        key, value = next(iter(value.items()))
        path += (key,)
        if isinstance(value, list):
            counts[path] = counts.get(path, -1) + 1
            return (*path, counts[path])
        if path in counts:
            path += (counts[path],)  # a table within the newest item
    return path


def _values(found: dict[Path, int], path: Path, value: Any, number: int) -> None:
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, inner in items:
        _note(found, (*path, key), number)
        _values(found, (*path, key), inner, number)


def _note(found: dict[Path, int], path: Path, number: int) -> None:
    for length in range(1, len(path) + 1):
        found.setdefault(path[:length], number)

"""No regular expression takes a group possessively: early Pythons of 3.11 match such a one wrongly.

With 3.11.2 `(?:a|bc)*+` finds less than it should (3.11.7 is right; CPython issues 101955 and 106052), so
agents on one machine would hash, redact and fingerprint other things than those on the next. A single sign
may be taken so: `[a-z]*+`.
"""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from re import _constants, _parser  # type: ignore[attr-defined]
from types import ModuleType
from typing import Any

import pytest

PACKAGES = ("tracefuse", "ingest", "stream", "detectors", "dashboards", "sql")
FAUST = "stream.worker.app"  # importing it makes an app
SIGNS = ("LITERAL", "NOT_LITERAL", "IN", "ANY")


def modules() -> Iterator[ModuleType]:
    for package in PACKAGES:
        root = importlib.import_module(package)
        for found in pkgutil.walk_packages(root.__path__, f"{package}."):
            if found.name != FAUST and not found.name.endswith("__main__"):
                yield importlib.import_module(found.name)


def patterns(value: object) -> Iterator[re.Pattern[Any]]:
    """Patterns in a module's value, however deep in tables."""
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, dict):
        yield from patterns(tuple(value.values()))
    elif isinstance(value, tuple | list | frozenset | set):
        for one in value:
            yield from patterns(one)


def taken_whole(pattern: str | bytes, flags: int = 0) -> int:
    """How many groups a pattern takes and never gives back."""
    return sum(_groups(_parser.parse(pattern, flags)))


def _groups(tree: Any) -> Iterator[int]:
    for what, how in tree:
        if what is _constants.ATOMIC_GROUP:
            yield 1
        if what is _constants.POSSESSIVE_REPEAT:
            inner = how[2]
            yield not (len(inner) == 1 and str(inner[0][0]) in SIGNS)
        for part in _inner(how):
            yield from _groups(part)


def _inner(how: object) -> Iterator[Any]:
    if isinstance(how, _parser.SubPattern):
        yield how
    elif isinstance(how, tuple | list):
        for one in how:
            yield from _inner(one)


@pytest.mark.parametrize(
    ("pattern", "groups"),
    [
        ("[a-z]*+b", 0),
        ("(?:ab)*+c", 1),
        ("(?:a|b*+c)?+", 1),
        ("(?>ab|a)c", 1),
        ("(?:x(?:ab){2,}+)*", 1),
        ("x(?=(?:ab)++)|y", 1),
    ],
)
def test_it_sees_them(pattern: str, groups: int) -> None:
    """At the top, inside of others, in branches and in looks ahead."""
    assert taken_whole(pattern) == groups


def test_no_group_is_taken_possessively() -> None:
    """In all our modules' own patterns."""
    found = {
        (module.__name__, name): one
        for module in modules()
        for name, value in vars(module).items()
        for one in patterns(value)
    }
    wrong = [
        f"{module}.{name}: {one.pattern!r}"
        for (module, name), one in found.items()
        if taken_whole(one.pattern, one.flags)
    ]

    assert len(found) > 50
    assert wrong == []

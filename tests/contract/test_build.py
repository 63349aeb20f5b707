"""Whoever decides is part of the build: what the pure cores import, however deep, is in its hash."""

import ast
import importlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream import build

CORES = ("stream.join.join", "stream.detect.detect", "stream.correlate.correlate")
OURS = ("detectors", "ingest", "stream", "tracefuse", "dashboards", "sql")


def imported(module: str) -> Iterator[str]:
    """Modules of ours that a module names in its imports, at its top or inside a function."""
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin is not None
    for node in ast.walk(ast.parse(Path(spec.origin).read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names] + [node.module]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] in OURS and is_module(name))


def is_module(name: str) -> bool:
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:  # a name inside a module
        return False
    return spec is not None and spec.submodule_search_locations is None


def reached(cores: tuple[str, ...]) -> set[str]:
    found, left = set[str](), list(cores)
    while left:
        module = left.pop()
        if module not in found:
            found.add(module)
            left += imported(module)
    return found


def hashed() -> set[str]:
    return {
        ".".join((package.__name__, *path.relative_to(folder).with_suffix("").parts))
        for package, pattern in build._DECIDING
        for folder in [Path(package.__file__ or "").parent]
        for path in folder.glob(pattern)
    }


@pytest.mark.parametrize("module", sorted(reached(CORES)))
def test_what_the_cores_import_is_part_of_the_build(module: str) -> None:
    """Else a worker of another version could go on from a checkpoint and decide otherwise."""
    assert module in hashed()


def test_what_is_part_of_the_build_exists() -> None:
    """A line for a file that is gone hashes nothing."""
    for package, pattern in build._DECIDING:
        assert list(Path(package.__file__ or "").parent.glob(pattern)), pattern

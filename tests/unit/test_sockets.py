"""The guard of `conftest.py`: an unmarked test that reaches for the network fails, whatever it catches."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# A server on loopback and a client that swallows the error, as production code does.
BODY = '''
"""A test file."""

import contextlib
import socket

import pytest

{mark}
def test_it():
    """It connects."""
    with socket.create_server(("127.0.0.1", 0)) as server, contextlib.suppress(Exception):
        socket.create_connection(server.getsockname(), timeout=5).close()
'''


def outcome(folder: Path, mark: str) -> str:
    file = folder / "test_reaching.py"
    file.write_text(BODY.format(mark=mark))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "-p", "no:cacheprovider",
         "--rootdir", str(ROOT), "-c", str(ROOT / "pyproject.toml"), str(file)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout


def test_an_unmarked_test_is_stopped(tmp_path: Path) -> None:
    """The failure names the address and the marks to choose from."""
    said = outcome(tmp_path, "")

    assert "1 error in" in said
    assert "attempted to reach ('127.0.0.1'" in said
    assert "@pytest.mark.kafka" in said


@pytest.mark.parametrize("mark", ["kafka", "clickhouse", "net"])
def test_a_marked_test_is_not(tmp_path: Path, mark: str) -> None:
    """Control: the same test with a mark passes."""
    assert "1 passed" in outcome(tmp_path, f"@pytest.mark.{mark}")
    assert "error" not in outcome(tmp_path, f"@pytest.mark.{mark}")


def test_a_misspelt_mark_is_an_error(tmp_path: Path) -> None:
    """Marks are a closed list: a typing error can't open the network."""
    assert "'kafak' not found in `markers`" in outcome(tmp_path, "@pytest.mark.kafak")

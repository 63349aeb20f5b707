"""Which Python `make setup` takes, of those on the PATH."""

import os
import shutil
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "deploy" / "fastest-python"
TOLD = """#!/bin/sh
case "$2" in
    *ensurepip*) exit {unusable} ;;
    *realpath*) echo {version} "$0" ;;
    *process_time*) echo {took} ;;
esac
"""


def python(folder: Path, name: str, took: int, version: str = "3 11", usable: bool = True) -> Path:
    """A Python on the PATH that needs so many microseconds for the same."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(TOLD.format(unusable=int(not usable), version=version, took=took))
    path.chmod(0o755)
    return path


def chosen(*folders: Path) -> str:
    """What the script says, with nothing else on the PATH but a shell's tools."""
    tools = folders[0].parent / "tools"
    tools.mkdir(exist_ok=True)
    for tool in ("bash", "env"):
        (tools / tool).symlink_to(shutil.which(tool) or tool)
    path = os.pathsep.join(map(str, (*folders, tools)))
    done = subprocess.run([SCRIPT], env={"PATH": path}, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else f"{done.returncode}: {done.stderr}"


def test_the_fastest_build_of_the_first_ones_version(tmp_path: Path) -> None:
    """Wherever it stands; another version is not what anybody asked for, however fast."""
    python(tmp_path / "a", "python3", 1000)
    fastest = python(tmp_path / "b", "python3", 700)
    python(tmp_path / "c", "python3", 500, version="3 13")

    assert chosen(tmp_path / "a", tmp_path / "b", tmp_path / "c") == str(fastest)


def test_a_tenth_faster_or_the_first(tmp_path: Path) -> None:
    """What a busy machine makes of two that are alike must not decide."""
    first = python(tmp_path / "a", "python3", 1000)
    python(tmp_path / "b", "python3", 910)

    assert chosen(tmp_path / "a", tmp_path / "b") == str(first)


def test_one_that_can_make_no_environment_is_none(tmp_path: Path) -> None:
    """As Debian's without python3-venv, or one that is too old."""
    python(tmp_path / "a", "python3", 1000, usable=False)
    second = python(tmp_path / "b", "python3.12", 2000, version="3 12")

    assert chosen(tmp_path / "a", tmp_path / "b") == str(second)


def test_none_at_all_is_said(tmp_path: Path) -> None:
    """With what is missing, and how to name one."""
    python(tmp_path / "a", "python3", 1000, usable=False)

    assert chosen(tmp_path / "a").startswith("1: Python 3.11 or newer with venv is needed")

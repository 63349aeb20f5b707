"""What the run file promises: commands find the stack that runs, and only that."""

import os
from pathlib import Path

import pytest

from dashboards import runfile
from dashboards.runfile import Process, Run, StackInUse
from ingest.settings import Settings
from tracefuse.errors import ConfigError

HERE = Settings(
    bootstrap="127.0.0.1:21000", clickhouse="127.0.0.1:22000", clickhouse_password="hunter2"
)


def stack(home: Path) -> Run:
    settings = {**runfile.shared(HERE), "home": str(home)}
    return Run(os.getpid(), "ready", settings, 1, [Process("broker", 1)])


def test_a_dead_stack_is_none(tmp_path: Path) -> None:
    """The file of a stack that ended, however it ended, is not taken for a running one."""
    runfile.write(tmp_path, stack(tmp_path))

    assert runfile.read(tmp_path) is not None
    assert runfile.running(tmp_path) is None


def test_a_running_stack_is_found(tmp_path: Path) -> None:
    """While its supervisor holds the folder, commands see it; no longer."""
    claim = runfile.lock(tmp_path)
    runfile.write(tmp_path, stack(tmp_path))
    during = runfile.running(tmp_path)
    claim.close()

    assert during == stack(tmp_path)
    assert runfile.running(tmp_path) is None


def test_a_folder_has_one_stack(tmp_path: Path) -> None:
    """A second supervisor is refused and told the process of the first."""
    with runfile.lock(tmp_path), pytest.raises(StackInUse, match=f"process {os.getpid()}"):
        runfile.lock(tmp_path)


def test_commands_take_the_stacks_addresses(tmp_path: Path) -> None:
    """Without a word in the environment the running stack's address counts; with one, that one."""
    home = {"TRACEFUSE_HOME": str(tmp_path)}
    with runfile.lock(tmp_path):
        runfile.write(tmp_path, stack(tmp_path))
        found = runfile.addressed(home)
        told = runfile.addressed({**home, "TRACEFUSE_BOOTSTRAP": "kafka:9092"})
    alone = runfile.addressed(home)

    assert (found.bootstrap, found.clickhouse) == (HERE.bootstrap, HERE.clickhouse)
    assert (told.bootstrap, told.clickhouse) == ("kafka:9092", HERE.clickhouse)
    assert alone.bootstrap == Settings().bootstrap


def test_it_tells_no_secret(tmp_path: Path) -> None:
    """No password is written, and only the owner reads the file."""
    runfile.write(tmp_path, stack(tmp_path))
    file = runfile.path(tmp_path)

    assert "hunter2" not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0


def test_damage_is_named(tmp_path: Path) -> None:
    """A run file that is none stops the command with its path."""
    runfile.path(tmp_path).write_text("{")

    with pytest.raises(ConfigError, match=r"stack\.json"):
        runfile.running(tmp_path)

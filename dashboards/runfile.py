"""The run file of the embedded stack: where everything is. Written by the supervisor, read by commands."""

import contextlib
import fcntl
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import msgspec

from ingest.settings import PREFIX, Settings, from_environment
from tracefuse.errors import ConfigError, TracefuseError

LOCK_ATTEMPTS = 5
# What commands need to find the stack. No passwords: they stay in the environment.
SHARED = ("home", "bootstrap", "clickhouse", "clickhouse_database", "keys", "registry")


class StackInUse(TracefuseError):
    """Another supervisor has this folder. To the operator: the text names its process."""


class Process(msgspec.Struct):
    """One process as the supervisor last saw it."""

    name: str
    pid: int
    metrics_port: int = 0
    restarts: int = 0
    alive: bool = True


class Run(msgspec.Struct):
    """A stack: the supervisor's process id, its state, its settings, its processes."""

    pid: int
    state: str  # starting, ready, stopping, failed
    settings: dict[str, str]
    started_at: int  # µs
    processes: list[Process] = []
    error: str = ""


def shared(settings: Settings) -> dict[str, str]:
    """What the run file tells of the settings."""
    return {name: str(getattr(settings, name)) for name in SHARED}


def path(home: Path) -> Path:
    return home / "stack.json"


def write(home: Path, run: Run) -> None:
    """Replace the run file in one step: a reader sees the old or the new one."""
    part = path(home).with_suffix(f".{os.getpid()}.part")
    part.touch(mode=0o600)
    part.write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=1))
    part.replace(path(home))


def read(home: Path) -> Run | None:
    """The run file as it is, also of a stack that has ended; None where there is none."""
    try:
        return msgspec.json.decode(path(home).read_bytes(), type=Run)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise ConfigError(f"{path(home)}: {error}") from error


def lock(home: Path) -> IO[str]:
    """Claim the folder until the returned file is closed or this process ends.

    Raises `StackInUse` to the operator, naming the owner.
    """
    home.mkdir(parents=True, exist_ok=True)
    claim = (home / "stack.lock").open("a+", encoding="utf-8")
    for attempt in range(LOCK_ATTEMPTS):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        if attempt + 1 < LOCK_ATTEMPTS:
            time.sleep(0.02)  # `running` may have looked at this very moment
    else:
        claim.seek(0)
        owner = claim.read().strip() or "unknown"
        claim.close()
        message = f"a stack runs already in {home}, process {owner}: use it, or stop it first"
        raise StackInUse(message) from None
    claim.truncate(0)
    claim.write(str(os.getpid()))
    claim.flush()
    return claim


def running(home: Path) -> Run | None:
    """The stack that runs in this folder now; None where none does. A dead one holds no lock."""
    run = read(home)
    if run is None:
        return None
    with contextlib.suppress(FileNotFoundError), (home / "stack.lock").open("r+") as claim:
        try:
            fcntl.flock(claim, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return run
    return None


def addressed(environ: Mapping[str, str]) -> Settings:
    """Settings of a command: the environment's word first, then the running stack's."""
    settings = from_environment(environ)
    run = running(Path(settings.home))
    if run is None:
        return settings
    stack = {PREFIX + name.upper(): run.settings[name] for name in SHARED}
    return from_environment({**stack, **environ})

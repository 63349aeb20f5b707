"""A run is taken back through the same gates, on a real broker, store, worker and sink.

The tool's own log is the judge: what stands there was done, whatever the record says.
"""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import tracefuse
from ingest import keys
from ingest.agent_file import AgentFile, Approval, Owner, Tool
from ingest.keys import Keys
from ingest.provision import provision
from ingest.settings import Settings
from stream.people import approvals, orders
from stream.people.registration import publish
from tests.sinking import client
from tests.workers import SINK, Processes
from tracefuse.errors import ToolDenied

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

PATIENCE = 60.0
FILE = AgentFile(
    "refunds", tenant="acme", owner=Owner("Payments"),
    tools={
        "crm.refund": Tool(access="write", undo="crm.unrefund", decision_args=("order",)),
        "crm.unrefund": Tool(access="write", decision_args=("order",)),
        "mail.send": Tool(access="write"),
    },
    approvals=(
        Approval("undoing", 'context.task == "undo" && args.order == 8', approvers=("eve",)),
    ),
)  # fmt: skip
# The tool's side: what it did, in its own file. It fails for the order that `fails` names.
HOOKS = """
import pathlib
import time

FOLDER = pathlib.Path(__file__).parent

def unrefund(call):
    fails = FOLDER / "fails"
    if fails.exists() and fails.read_text() == str(call.decision_args["order"]):
        raise KeyError("no such refund")
    with (FOLDER / "log").open("a") as log:
        print(call.tool, call.decision_args["order"], call.call_id, file=log)
    if (FOLDER / "hangs").exists():
        time.sleep(600)

HOOKS = {"crm.unrefund": unrefund}
"""


@dataclass(frozen=True)
class Stack:
    settings: Settings
    keys: Keys
    folder: Path
    fuse: tracefuse.Fuse

    def undo(self, trace_id: str, *more: str) -> subprocess.CompletedProcess[str]:
        """The command, in a process of its own as in a terminal."""
        with self.started(trace_id, *more) as process:
            out, error = process.communicate(timeout=PATIENCE)
        return subprocess.CompletedProcess(process.args, process.returncode, out, error)

    def started(self, trace_id: str, *more: str) -> subprocess.Popen[str]:
        environ = {**os.environ, **self.settings.environment(), "PYTHONPATH": str(self.folder)}
        return subprocess.Popen(
            [sys.executable, "-m", "dashboards.cli", "undo", trace_id, "--json", *more],
            env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def approved(self, digest: str) -> tuple[str, ...]:
        return (
            "--run", "--hooks", "hooks", "--plan", digest, "--by", "ann",
            "--reason", "wrong customer",
        )  # fmt: skip

    def plan(self, trace_id: str) -> Any:
        return json.loads(self.undo(trace_id).stdout)

    @property
    def log(self) -> list[str]:
        """Orders that the tool has taken back."""
        path = self.folder / "log"
        return [line.split()[1] for line in path.read_text().splitlines()] if path.exists() else []

    def run(self, *calls: tuple[str, int, str]) -> str:
        """A run of the agent: calls by tool, order, and `ok` or `error`; its trace id, once stored."""
        with self.fuse.trace(task="refund", user="u-17") as trace:
            for tool, order, status in calls:
                trace.state(before={"order": order, "refunded": False})
                with contextlib.suppress(KeyError), trace.tool(tool, {"order": order}):
                    if status == "error":
                        raise KeyError(order)
                trace.state(after={"order": order, "refunded": status == "ok"})
        until(lambda: self._stored(trace.trace_id, len(calls)), "it was never stored")
        return trace.trace_id

    def _stored(self, trace_id: str, calls: int) -> bool:
        query = (
            "SELECT count() FROM steps_final WHERE trace_id = {t:String} AND phase = 'complete'"
            " AND state_after != ''"
        )
        ended = "SELECT count() FROM events WHERE trace_id = {t:String} AND name = 'run.end'"
        with client(self.settings) as db:
            told = [db.query(sql, parameters={"t": trace_id}).result_rows for sql in (query, ended)]
        return told == [[(calls,)], [(1,)]]


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


@pytest.fixture(scope="module")
def stack(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """An agent at work, with everything that decides and records beside it."""
    asyncio.run(provision(settings))
    held = keys.create(settings.keys_folder)
    asyncio.run(publish(settings, held, [FILE]))
    folder = tmp_path_factory.mktemp("tool")
    (folder / "hooks.py").write_text(HOOKS)
    processes = Processes(settings, folder)
    processes.start("worker")
    processes.start("sink", *SINK)
    fuse = tracefuse.init(
        bootstrap=settings.bootstrap, credential=held.credential("acme", "refunds"),
        decision_args={name: tool.decision_args for name, tool in FILE.tools.items()},
    )  # fmt: skip
    until(lambda: fuse.held.listening and fuse.held.grants is not None, "no file")
    until(lambda: answered(fuse), "no worker answers")
    yield Stack(settings, held, folder, fuse)
    fuse.close()
    processes.stop()


@pytest.fixture(autouse=True)
def clean(stack: Stack) -> None:
    """The tool's log is each test's own."""
    for name in ("log", "fails", "hangs"):
        (stack.folder / name).unlink(missing_ok=True)


def answered(fuse: tracefuse.Fuse) -> bool:
    """Whether a held call gets an answer: the first worker loads for some seconds."""
    try:
        with fuse.trace() as trace, trace.tool("mail.send"):
            return True
    except ToolDenied:
        return False


def test_a_run_is_listed_and_taken_back_once(stack: Stack) -> None:
    """Three changes: one is taken back, one stays, one failed. Nothing runs before a person agreed."""
    trace_id = stack.run(
        ("crm.refund", 1, "ok"), ("mail.send", 1, "ok"), ("crm.refund", 2, "error")
    )
    listed = stack.undo(trace_id)
    plan = json.loads(listed.stdout)
    digest = plan["plan"]
    refused = [
        stack.undo(trace_id, "--run", "--hooks", "hooks", "--reason", "no plan was read"),
        stack.undo(trace_id, *stack.approved("0" * 32)),
    ]
    before = stack.log
    done = stack.undo(trace_id, *stack.approved(digest))
    again = stack.undo(trace_id, *stack.approved(digest))

    assert listed.returncode == 4, listed.stderr
    assert [
        (one["tool"], one["decision_args"], one["state"], one["undo"], one["word"], one["reason"])
        for one in plan["changes"]
    ] == [
        (
            "crm.refund",
            {"order": 2},
            "same",
            "",
            "nothing",
            "it failed, and the state is as before",
        ),
        ("mail.send", {}, "changed", "", "cannot", "no undo is declared"),
        ("crm.refund", {"order": 1}, "changed", "crm.unrefund", "can", ""),
    ]
    assert plan["ended"] is True
    assert [one.returncode for one in refused] == [2, 1]
    assert f"the plan is now {digest}" in refused[1].stderr
    assert before == []
    assert (done.returncode, done.stderr) == (4, "")
    assert again.returncode == 4
    assert stack.log == ["1"]
    said, nothing = json.loads(done.stdout), json.loads(again.stdout)
    assert said["undone"] == [plan["changes"][2]["call_id"]]
    assert said["stays"] == [plan["changes"][1]["call_id"]]
    assert said["recorded"] is True
    assert nothing["undone"] == []
    assert recorded(stack, said["run"]) == ("ann", "wrong customer", "allow")


def recorded(stack: Stack, run: str) -> tuple[str, str, str]:
    """Who agreed and why, by the event; and the verdict that the undo call waited for."""
    query = (
        "SELECT JSONExtractString(attrs, 'agreement') FROM events"
        " WHERE trace_id = {t:String} AND name = 'x.undo.plan'"
    )
    verdict = "SELECT verdict_seen FROM steps_final WHERE trace_id = {t:String}"

    def found() -> list[list[tuple[str, ...]]]:
        with client(stack.settings) as db:
            rows = [db.query(sql, parameters={"t": run}).result_rows for sql in (query, verdict)]
        return [[tuple(row) for row in some] for some in rows]

    until(lambda: found()[1] and found()[1][0][0], "the undo was never stored")
    ((said,),), ((word,),) = found()
    agreement = json.loads(said)
    return agreement["by"], agreement["reason"], word


def test_two_people_at_once_undo_once(stack: Stack) -> None:
    """Both have read the same plan and agree in the same second: the log says who was first."""
    trace_id = stack.run(("crm.refund", 3, "ok"))
    digest = stack.plan(trace_id)["plan"]
    both = [stack.started(trace_id, *stack.approved(digest)) for _ in range(2)]
    said = []
    for process in both:
        with process:
            said.append((*process.communicate(timeout=PATIENCE), process.returncode))

    assert stack.log == ["3"]
    assert sorted(code for *_, code in said)[0] == 0, said
    assert stack.plan(trace_id)["changes"][0]["word"] == "undone"


def test_it_ends_at_the_first_failure(stack: Stack) -> None:
    """What is older is not begun; what failed is tried again only where a person says so."""
    trace_id = stack.run(*(("crm.refund", order, "ok") for order in (4, 5, 6)))
    (stack.folder / "fails").write_text("5")
    plan = stack.plan(trace_id)
    ids = {one["decision_args"]["order"]: one["call_id"] for one in plan["changes"]}
    approved = stack.approved(plan["plan"])
    one = stack.undo(trace_id, *approved)
    then = stack.log
    two = stack.undo(trace_id, *approved)
    (stack.folder / "fails").unlink()
    listed = {c["decision_args"]["order"]: c["word"] for c in stack.plan(trace_id)["changes"]}
    three = stack.undo(trace_id, *approved, "--again", ids[5])

    said = json.loads(one.stdout)
    assert one.returncode == 1
    assert then == ["6"]
    assert (said["undone"], said["at"], said["untouched"]) == ([ids[6]], ids[5], [ids[4]])
    assert said["stopped"] == "failed: KeyError: 'no such refund'"
    assert two.returncode == 4
    assert listed == {4: "undone", 5: "failed", 6: "undone"}
    assert three.returncode == 0, three.stderr
    assert stack.log == ["6", "4", "5"]


def test_a_stopped_agent_takes_nothing_back(stack: Stack) -> None:
    """The gates that bind the agent bind its undo; nothing has run, so it may be tried again."""
    trace_id = stack.run(("crm.refund", 7, "ok"))
    approved = stack.approved(stack.plan(trace_id)["plan"])
    scope = "tool:acme/refunds/crm.unrefund"
    asyncio.run(orders.force(stack.settings, stack.keys, scope, "hands off"))
    refused = stack.undo(trace_id, *approved)
    before = stack.log
    asyncio.run(orders.release(stack.settings, stack.keys, scope, "go on", PATIENCE))
    done = stack.undo(trace_id, *approved)
    # A released tool is on trial: with the undo's, these are the three good calls that close it.
    stack.run(("crm.unrefund", 70, "ok"), ("crm.unrefund", 71, "ok"))

    assert refused.returncode == 1
    assert "refused, it did not run" in json.loads(refused.stdout)["stopped"]
    assert before == []
    assert done.returncode == 0, done.stdout
    assert stack.log == ["7"]


def test_a_person_lets_an_undo_go_on(stack: Stack) -> None:
    """A rule of the agent's file sends it to somebody; the command waits, and goes on with the yes."""
    trace_id = stack.run(("crm.refund", 8, "ok"))
    digest = stack.plan(trace_id)["plan"]
    with stack.started(trace_id, *stack.approved(digest)) as process:
        asked: list[str] = []

        def waiting() -> list[str]:
            found = asyncio.run(approvals.waiting(stack.settings, time.time()))
            asked.extend(one.approval_id for one in found if one.tool == "crm.unrefund")
            return asked

        until(waiting, "nobody asked")
        before = stack.log
        asyncio.run(approvals.answer(stack.settings, stack.keys, asked[0], True, "eve", "fine"))
        out, error = process.communicate(timeout=PATIENCE)

    assert before == []
    assert (process.returncode, error) == (0, ""), out
    assert stack.log == ["8"]


def test_what_was_cut_short_is_not_done_again(stack: Stack) -> None:
    """The command is killed within its hook: nobody knows how that ended, so a person has to look."""
    trace_id = stack.run(("crm.refund", 9, "ok"))
    (stack.folder / "hangs").touch()
    plan = stack.plan(trace_id)
    approved = stack.approved(plan["plan"])
    with stack.started(trace_id, *approved) as process:
        until(lambda: stack.log, "the hook never ran")
        process.kill()
    (stack.folder / "hangs").unlink()
    again = stack.undo(trace_id, *approved)
    listed = stack.undo(trace_id)
    before = stack.log
    named = stack.undo(trace_id, *approved, "--again", plan["changes"][0]["call_id"])

    assert again.returncode == listed.returncode == 4
    assert json.loads(again.stdout)["undone"] == []
    assert json.loads(listed.stdout)["changes"][0]["word"] == "open"
    assert before == ["9"]
    assert named.returncode == 0, named.stderr
    assert stack.log == ["9", "9"]

"""Replay with people in between: approvals, new versions of the file, a kill, a release, dying workers."""

import asyncio
import contextlib
import time
from pathlib import Path

import pytest

import tracefuse
from ingest.agent_file import AgentFile, Approval, Owner, Tool
from ingest.keys import Keys
from ingest.settings import Settings
from stream.people import approvals, orders
from stream.people.registration import publish
from stream.replay import replay
from tests.integration.test_held_calls import START_SECONDS, answered, fuse_of, until
from tests.workers import Processes, verified
from tracefuse.errors import ApprovalRequired, Refused

pytestmark = pytest.mark.kafka

SCOPE = "agent:acme/refunds"
RULE = Approval("dear", "has(args.amount) && args.amount > 10.0", approvers=("ann",))
TOOLS = {
    "crm.pay": Tool(access="write", decision_args=("amount",)),
    "crm.close": Tool(access="irreversible"),
}


def version(number: int, rules: tuple[Approval, ...] = (RULE,)) -> AgentFile:
    return AgentFile(
        "refunds", tenant="acme", version=number, owner=Owner("Payments"), tools=TOOLS,
        approvals=rules,
    )  # fmt: skip


async def pour(fuse: tracefuse.Fuse, end: asyncio.Event, ran: list[float]) -> None:
    """Held calls all the time, each refusal taken as it comes."""
    number = 0
    while not end.is_set():
        number += 1
        with contextlib.suppress(Refused):
            args = {"amount": 1.0, "order": number}
            async with fuse.trace(user="carl") as trace, trace.tool("crm.pay", args) as call:
                ran.append(time.monotonic())
                call.result(number)
        await asyncio.sleep(0.02)


async def ask(fuse: tracefuse.Fuse, amount: float) -> str:
    """A call that needs a person; the id of its approval."""
    while True:
        try:
            async with fuse.trace(user="carl") as trace, trace.tool("crm.pay", {"amount": amount}):
                raise AssertionError("nobody was asked")
        except ApprovalRequired as wanted:
            return wanted.approval_id
        except Refused:  # no worker just now
            await asyncio.sleep(0.1)


async def listed(settings: Settings, approval_id: str) -> None:
    """The agent may hear of it before the list: its worker, killed between the two, says it again."""
    deadline = time.monotonic() + START_SECONDS
    while approval_id not in {one.approval_id for one in await approvals.waiting(settings, 0.0)}:
        assert time.monotonic() < deadline, f"{approval_id} was never listed"
        await asyncio.sleep(0.2)


async def play(stack: tuple[Settings, Keys], workers: Processes, fuse: tracefuse.Fuse) -> int:
    """Everything that people do, with the owner's process killed after each; calls that ran."""
    settings, keys = stack
    end, ran = asyncio.Event(), list[float]()
    pouring = asyncio.create_task(pour(fuse, end, ran))

    async def killed(name: str) -> None:
        await asyncio.to_thread(workers.kill, name)
        workers.start(name)

    for amount, yes in ((50.0, True), (60.0, False)):
        approval_id = await ask(fuse, amount)
        await killed("one")
        await listed(settings, approval_id)
        await approvals.answer(settings, keys, approval_id, yes, "ann", "looked at it")
    await publish(settings, keys, [version(2, rules=())])
    await killed("one")
    await asyncio.to_thread(
        until, lambda: fuse.held.grants and fuse.held.grants.version == 2, "version 2 never came"
    )
    await orders.force(settings, keys, SCOPE, "seen it lie")
    await killed("one")
    await asyncio.sleep(2.0)
    stopped = len(ran)
    await orders.release(settings, keys, SCOPE, "it was a mistake", timeout=40.0)
    await asyncio.to_thread(until, lambda: len(ran) > stopped, "after the release nothing ran")
    end.set()
    await pouring
    return len(ran)


def test_what_people_do_is_replayed(stack: tuple[Settings, Keys], tmp_path: Path) -> None:
    """Each verdict, approval, command and mirror of a person's word is what the log says it must be."""
    workers = Processes(stack[0], tmp_path)
    asyncio.run(publish(*stack, [version(1)]))
    try:
        workers.start("one")
        fuse = fuse_of(stack, decision_args={"crm.pay": ["amount"]})
        answered(fuse)
        ran = asyncio.run(play(stack, workers, fuse))
        fuse.close()
        time.sleep(3.0)
    finally:
        workers.stop()
    report = asyncio.run(verified(*stack))
    print(replay.words(report))

    assert report.exit_code == replay.SAME, report.differences
    assert report.compared["verdict"] >= ran
    assert report.compared["wanted"] >= 2
    assert report.compared["outcome"] == 2
    assert report.compared["command"] >= 2  # stopped by a person, and let go

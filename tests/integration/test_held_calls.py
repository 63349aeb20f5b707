"""Held calls over a real broker and real workers: the tool's own log is the judge."""

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

import tracefuse
from ingest.agent_file import AgentFile, Approval, Budgets, Owner, Tool
from ingest.keys import Keys
from ingest.settings import Settings
from stream.people import approvals
from stream.people.registration import publish
from stream.replay import replay
from tests.workers import Processes, verified
from tracefuse import verdicts, wire
from tracefuse.errors import ApprovalRequired, ToolDenied
from tracefuse.verdicts import Verdict

pytestmark = pytest.mark.kafka

CALLS, ALLOWED = 200, 50
START_SECONDS = 40.0
NAME = "refunds"


def file(**more: Any) -> AgentFile:
    tools = {
        "crm.pay": Tool(access="write", max_usd=0.01, decision_args=("amount",)),
        "crm.find": Tool(access="read"),
        "crm.close": Tool(access="irreversible"),
    }
    return AgentFile(NAME, tenant="acme", owner=Owner("Payments"), tools=tools, **more)


@pytest.fixture
def workers(stack: tuple[Settings, Keys], tmp_path: Path) -> Iterator[Processes]:
    started = Processes(stack[0], tmp_path)
    yield started
    started.stop()


def fuse_of(stack: tuple[Settings, Keys], **more: Any) -> tracefuse.Fuse:
    """The agent's fuse, once it has read its file and would hear verdicts."""
    settings, keys = stack
    credential = keys.credential("acme", NAME)
    fuse = tracefuse.init(bootstrap=settings.bootstrap, credential=credential, **more)
    until(lambda: fuse.held.listening and fuse.held.grants is not None, "no file")
    return fuse


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def answered(fuse: tracefuse.Fuse) -> None:
    """Wait until workers answer: the first ones load for some seconds."""

    def asked() -> bool:
        with fuse.trace() as trace:
            try:
                with trace.tool("crm.close"):
                    return True
            except ToolDenied as refusal:
                return bool(refusal.gate)
            except ApprovalRequired:
                return True

    until(asked, "no worker answers")


async def storm(fuse: tracefuse.Fuse, log: list[int], seconds: float = 0.0) -> dict[str, int]:
    """Calls of one run, each until it has a verdict; begun at once, or spread over some seconds."""
    heard: dict[str, int] = {}

    async def call(trace: tracefuse.Trace, number: int) -> None:
        await asyncio.sleep(seconds * number / CALLS)
        while True:
            try:
                async with trace.tool("crm.pay", {"order": number}):
                    log.append(number)
                    heard["allow"] = heard.get("allow", 0) + 1
                    return
            except ToolDenied as refusal:
                if refusal.gate:
                    heard[refusal.gate] = heard.get(refusal.gate, 0) + 1
                    return

    async with fuse.trace(task="refund") as trace:
        await asyncio.gather(*(call(trace, number) for number in range(CALLS)))
    return heard


def test_a_budget_for_fifty_runs_fifty_of_two_hundred(
    stack: tuple[Settings, Keys], workers: Processes
) -> None:
    """All at once, from one process: not one more in the tool's own log, and none fewer."""
    asyncio.run(publish(*stack, [file(budgets=Budgets(run_usd=0.01 * ALLOWED), timeout_s=600)]))
    workers.start("one")
    fuse, log = fuse_of(stack), list[int]()
    answered(fuse)
    heard = asyncio.run(storm(fuse, log))
    fuse.close()

    assert len(log) == len(set(log)) == ALLOWED
    assert heard == {"allow": ALLOWED, "budgets": CALLS - ALLOWED}


def test_fifty_hold_with_two_workers_and_a_kill(
    stack: tuple[Settings, Keys], workers: Processes
) -> None:
    """The owner dies in between and comes back: its ledger is that of the log. A replay agrees."""
    asyncio.run(publish(*stack, [file(budgets=Budgets(run_usd=0.01 * ALLOWED), timeout_s=600)]))
    for name in ("one", "two"):
        workers.start(name)
    fuse, log = fuse_of(stack), list[int]()
    answered(fuse)

    async def killed() -> dict[str, int]:
        going = asyncio.create_task(storm(fuse, log, seconds=4.0))
        for name in ("one", "two"):  # one of them owns the agent
            await asyncio.sleep(0.8)
            await asyncio.to_thread(workers.kill, name)
            workers.start(name)
        return await going

    heard = asyncio.run(killed())
    fuse.close()
    report = asyncio.run(verified(*stack))

    assert len(log) == len(set(log)) == ALLOWED
    assert heard["allow"] == ALLOWED
    assert report.exit_code == replay.SAME, report.differences
    assert report.compared["verdict"] >= CALLS


def test_without_an_answer_the_file_decides(stack: tuple[Settings, Keys]) -> None:
    """No worker runs: reads go on, an irreversible call never does, a write as the file says."""
    asyncio.run(publish(*stack, [file(held=("read", "write", "irreversible"))]))
    fuse = fuse_of(stack)
    with fuse.trace() as trace:
        with trace.tool("crm.find") as call:
            call.result("found")
        for tool in ("crm.pay", "crm.close"):
            began = time.monotonic()
            with pytest.raises(ToolDenied, match="no verdict"), trace.tool(tool):
                pytest.fail("it ran")
            assert 0.9 < time.monotonic() - began < 5.0
    asyncio.run(
        publish(*stack, [file(held=("write", "irreversible"), without_verdict="allow", version=2)])
    )
    until(lambda: fuse.held.grants and fuse.held.grants.version == 2, "version 2 never came")
    ran = False
    with fuse.trace() as trace, trace.tool("crm.pay"):
        ran = True
    fuse.close()

    assert ran
    assert fuse.stats()["dropped"] == {}


def test_what_needs_no_state_is_denied_at_once(stack: tuple[Settings, Keys]) -> None:
    """An unlisted tool, without any worker: the file in the agent's own process answers."""
    asyncio.run(publish(*stack, [file()]))
    fuse, took = fuse_of(stack), list[float]()
    with fuse.trace() as trace:
        for _ in range(300):
            began = time.perf_counter()
            with pytest.raises(ToolDenied, match="does not list"), trace.tool("crm.drop"):
                pytest.fail("it ran")
            took.append(time.perf_counter() - began)
    fuse.close()

    assert sorted(took)[len(took) // 2] < 0.001


def test_a_person_lets_the_waiting_call_go_on(
    stack: tuple[Settings, Keys], workers: Processes
) -> None:
    """It stands still, asks again by itself once somebody has agreed, and runs once; a no ends it."""
    rule = Approval("dear", "has(args.amount) && args.amount > 10.0", approvers=("ann",))
    asyncio.run(publish(*stack, [file(approvals=(rule,))]))
    workers.start("one")
    fuse, log = fuse_of(stack, decision_args={"crm.pay": ["amount"]}), list[str]()
    answered(fuse)

    async def call(trace: tracefuse.Trace, name: str) -> str:
        try:
            async with trace.tool("crm.pay", {"amount": 50.0, "to": name}, patience=30.0):
                log.append(name)
                return "ran"
        except ToolDenied as refusal:
            return refusal.reason

    async def decide(approved: bool) -> str:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            for one in await approvals.waiting(stack[0], time.time()):
                outcome = await approvals.answer(
                    *stack, one.approval_id, approved, "ann", "as agreed"
                )
                return outcome.outcome
            await asyncio.sleep(0.1)
        raise AssertionError("nobody asked")

    async def both() -> list[str]:
        async with fuse.trace(user="carl") as trace:
            said = []
            for name, approved in (("yes", True), ("no", False)):
                going = asyncio.create_task(call(trace, name))
                said += [await decide(approved), await going]
            return said

    said = asyncio.run(both())
    with fuse.trace() as trace:
        with pytest.raises(ApprovalRequired) as refusal, trace.tool("crm.pay", {"amount": 99.0}):
            pytest.fail("it ran")
        asyncio.run(approvals.answer(*stack, refusal.value.approval_id, True, "ann"))
    with fuse.trace() as later:  # another run, under the approval's name
        with later.tool("crm.pay", {"amount": 99.0}, approval=refusal.value.approval_id):
            log.append("later")
        with (
            pytest.raises(ApprovalRequired),
            later.tool("crm.pay", {"amount": 99.0}, approval=refusal.value.approval_id),
        ):
            pytest.fail("it ran twice")
    fuse.close()
    report = asyncio.run(verified(*stack))

    assert said == ["approved", "ran", "refused", "refused by ann: as agreed"]
    assert log == ["yes", "later"]
    assert report.exit_code == replay.SAME, report.differences
    assert report.compared["wanted"] == 4
    assert report.compared["outcome"] == 3


def test_a_forged_verdict_allows_nothing(stack: tuple[Settings, Keys]) -> None:
    """Whoever may write into the topic still lacks the agent's key; the true one is heard."""
    asyncio.run(publish(*stack, [file()]))
    fuse = fuse_of(stack)
    credential = stack[1].credential("acme", NAME)

    async def tell(key: bytes) -> str:
        async with (
            AIOKafkaProducer(bootstrap_servers=stack[0].bootstrap) as producer,
            fuse.trace() as trace,
        ):
            call = trace.tool("crm.pay")
            waiting = asyncio.create_task(call.__aenter__())
            await asyncio.sleep(0.1)
            said = Verdict(
                call_id=call.call_id, attempt=1, tenant="acme", agent_id=NAME,
                trace_id=trace.trace_id, boot_id=fuse.boot_id, word="allow",
            )  # fmt: skip
            line = verdicts.seal(fuse.boot_id, verdicts.encode(said), credential.kid, key)
            place = wire.verdict_partition(fuse.boot_id)
            await producer.send_and_wait(wire.VERDICTS, line, partition=place)
            try:
                await waiting
            except ToolDenied:
                return "denied"
            await call.__aexit__(None, None, None)
            return "ran"

    assert asyncio.run(tell(b"x" * 32)) == "denied"
    assert asyncio.run(tell(credential.envelope_key)) == "ran"
    fuse.close()

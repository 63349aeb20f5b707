"""F19: an agent is cut off. Reads go on, what can't be taken back does not; afterwards nothing diverges."""

import asyncio
import time
from collections.abc import Callable, Iterator
from math import inf
from pathlib import Path
from typing import NamedTuple

import pytest

import tracefuse
from ingest import codec
from ingest.broker import Broker
from ingest.keys import Keys, create
from ingest.provision import provision
from ingest.settings import Settings
from stream.people import orders
from tests.cut import Link, link
from tests.ordering import standing
from tests.reading import lines, read
from tests.workers import Processes
from tracefuse import life, wire
from tracefuse.clock import monotonic
from tracefuse.control import tool_scope
from tracefuse.errors import CircuitOpen

pytestmark = pytest.mark.kafka

# In place of the minute: more than twice what lies between two signs.
SILENT_SECONDS = 12.0
READ, PAY = "crm.find", "crm.refund"
STOPPED = tool_scope("acme", "refunds", READ)


class Case(NamedTuple):
    settings: Settings
    keys: Keys
    fuse: tracefuse.Fuse
    link: Link
    workers: Processes


@pytest.fixture
def case(fresh_broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Case]:
    """A worker with a straight way to the broker, and an agent whose way can be cut."""
    monkeypatch.setattr(life, "SILENT_SECONDS", SILENT_SECONDS)
    settings = Settings(bootstrap=fresh_broker.bootstrap, home=str(tmp_path))
    asyncio.run(provision(settings))
    keys = create(settings.keys_folder)
    workers = Processes(settings, tmp_path)
    workers.start("w1")
    made = link(settings.bootstrap, monkeypatch)
    fuse = tracefuse.init(
        bootstrap=settings.bootstrap, credential=keys.credential("acme", "refunds"),
        spool=tmp_path / "spool", access={READ: "read", PAY: "irreversible"},
    )  # fmt: skip
    began = monotonic()
    until(lambda: began + SILENT_SECONDS + 1.0 < fuse.gate.life.until < inf, "no sign of life")
    yield Case(settings, keys, fuse, made, workers)
    made.heal()
    fuse.close()
    made.close()
    workers.stop()


def until(condition: Callable[[], object], what: str, seconds: float = 40.0) -> None:
    deadline = monotonic() + seconds
    while not condition():
        assert monotonic() < deadline, what
        time.sleep(0.05)


def runs(fuse: tracefuse.Fuse, tool: str) -> bool:
    try:
        fuse.check("0" * 32, tool)
    except CircuitOpen:
        return False
    return True


def test_a_cut_off_agent_only_reads_and_then_hears_what_it_missed(case: Case) -> None:
    """Cut, silent, healed: the stop given meanwhile is obeyed, the calls come back, no event is lost."""
    settings, keys, fuse, cut, _ = case
    until(lambda: fuse.gate.ready, "no snapshot")
    assert (runs(fuse, READ), runs(fuse, PAY)) == (True, True)

    cut.cut()
    asyncio.run(orders.force(settings, keys, STOPPED, "while it can't hear"))
    with fuse.trace(task="alone") as trace:
        trace.thought("Nobody hears this yet.")
    until(lambda: not runs(fuse, PAY), "it went on alone", SILENT_SECONDS + 10.0)
    assert runs(fuse, READ)

    cut.heal()
    until(lambda: not runs(fuse, READ), "the stop was not heard")
    until(lambda: runs(fuse, PAY), "it never came back")
    for author in ("human", "auto"):  # the worker has mirrored it
        said = asyncio.run(standing(settings, STOPPED, author))
        heard = {change.command.author: change.command for change in fuse.changes}
        assert heard[author] == said
    fuse.close(timeout=30.0)
    records = asyncio.run(read(settings.bootstrap, wire.EVENTS))
    ours = [one for one in records if wire.header(one.headers, wire.KIND) == codec.EVENTS]
    told = [event.name for _, event in lines(ours) if event.trace_id == trace.trace_id]
    assert sorted(told) == ["run.end", "run.start", "thought"]
    assert fuse.stats()["dropped"] == {}


def test_a_dead_worker_is_a_cut_too(case: Case) -> None:
    """With the broker there and nobody who decides, it is the same; a new worker ends it."""
    _, _, fuse, _, workers = case
    workers.kill("w1")
    until(lambda: not runs(fuse, PAY), "it went on without a worker", SILENT_SECONDS + 10.0)
    assert runs(fuse, READ)

    workers.start("w1")
    until(lambda: runs(fuse, PAY), "the new worker was not heard")


def test_control_who_does_not_listen_for_life_goes_on(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control: with the watch taken away, the cut-off agent makes calls that nobody could stop."""
    case.fuse.gate.life.until = float("inf")
    monkeypatch.setattr(case.fuse.gate.life, "hear", lambda *_: "")
    case.link.cut()
    time.sleep(SILENT_SECONDS + 3.0)

    assert runs(case.fuse, PAY)

"""Scripts are played through the real SDK, and the tools' own log tells the same story."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import msgspec
import pytest

import tracefuse
from ingest.keys import Keys
from ingest.simulate import work
from ingest.simulate.journal import Call, Journal, Refusal, Tail, Told
from ingest.simulate.pace import Pace
from ingest.simulate.player import Player
from ingest.simulate.process import Work
from ingest.simulate.roles import fleet
from ingest.simulate.script import BAIT, Act, Ask, Move, Say, Script
from tracefuse.envelopes import Envelope
from tracefuse.events import HONEYTOKEN, Event
from tracefuse.grants import decode as grants_of
from tracefuse.transports import MemoryTransport

KEYS = Keys(b"m" * 32, b"a" * 32, b"h" * 32, b"r" * 32)


@pytest.fixture
def transport() -> MemoryTransport:
    return MemoryTransport()


@pytest.fixture
def fuse(transport: MemoryTransport) -> Iterator[tracefuse.Fuse]:
    made = tracefuse.init(credential=KEYS.credential("t", "clerk"), transport=lambda: transport)
    yield made
    made.close()


def events(sent: list[Envelope]) -> list[Event]:
    decoder = msgspec.json.Decoder(Event)
    made = [decoder.decode(line) for envelope in sent for line in envelope.value.split(b"\n")]
    return sorted((event for event in made if event.name != "heartbeat"), key=lambda e: e.seq)


def quick(moves: list[Move]) -> Script:
    return Script("refund", "user-1", "please", moves, urgent=True)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Path of the tools' own log."""
    return tmp_path / "j"


@pytest.fixture
def player(fuse: tracefuse.Fuse, journal: Path) -> Iterator[Player]:
    writer = Journal(journal)
    yield Player(fuse, writer, Pace(1e6, now=0.0))
    writer.close()


MOVES: list[Move] = [
    Say("plan", "first this"),
    Say("thought", "so be it", 0.9),
    Ask("m-1", 10, 5, 0.25, 1.0),
    Act("pay", {"sum": 1}, "paid", 1.0, changes=({"paid": 0}, {"paid": 1})),
    Act("pay", {"sum": 2}, None, 1.0, error="Unavailable"),
]


def test_a_run_becomes_the_events_of_an_agent(
    fuse: tracefuse.Fuse, transport: MemoryTransport, player: Player, journal: Path
) -> None:
    """Reasoning, context, calls, costs and states arrive in order; a failure keeps its type."""
    assert player.play(quick(MOVES))
    fuse.close()
    made = events(transport.sent)

    assert [event.name for event in made] == [
        "run.start", "input.user", "plan", "thought", "llm.request", "llm.response",
        "state.before", "tool.request", "tool.result", "state.after", "tool.request",
        "tool.result", "output", "run.end",
    ]  # fmt: skip
    response, good, bad = made[5], made[8], made[11]
    assert (response.input_tokens, response.output_tokens, response.cost_usd) == (10, 5, 0.25)
    assert (good.status, bad.status, bad.error_type) == ("ok", "error", "Unavailable")
    assert {event.trace_id for event in made} == {made[0].trace_id}
    assert (made[0].task_type, made[0].user_id) == ("refund", "user-1")


def test_the_tool_keeps_its_own_log(
    fuse: tracefuse.Fuse, transport: MemoryTransport, player: Player, journal: Path
) -> None:
    """Each call that ran is on file with its trace, its times in order, and its outcome."""
    player.play(quick(MOVES))
    fuse.close()
    calls = [entry for entry in Tail(journal).read() if isinstance(entry, Call)]

    assert [(call.index, call.tool, call.failed) for call in calls] == [
        (1, "pay", False), (2, "pay", True),
    ]  # fmt: skip
    for call in calls:
        assert call.trace_id == events(transport.sent)[0].trace_id
        assert call.asked_us <= call.start_us < call.end_us


def test_a_bait_is_a_honeytoken_of_the_tenant(
    fuse: tracefuse.Fuse, transport: MemoryTransport, player: Player
) -> None:
    """Of calls that carry one the SDK says so; of one that only finds it, nothing."""
    found = Act("look", {"for": "keys"}, {"text": f"key {BAIT}"}, 1.0)
    player.play(quick([found, Act("note", {"note": f"it is {BAIT}"}, "noted", 1.0)]))
    fuse.close()
    looked, noted = (one for one in events(transport.sent) if one.name == "tool.request")

    assert HONEYTOKEN not in looked.data_classes
    assert HONEYTOKEN in noted.data_classes


def test_a_refused_run_ends_and_the_tool_never_runs(
    fuse: tracefuse.Fuse, player: Player, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`CircuitOpen` ends the run; the tool's log stays empty."""

    def refuse(*_: object) -> float:
        raise tracefuse.CircuitOpen("agent:t/clerk")

    monkeypatch.setattr(fuse.gate, "admit", refuse)

    assert not player.play(quick(MOVES[3:]))
    assert Tail(journal).read() == []


def test_a_refused_call_is_on_file_and_did_not_run(
    fuse: tracefuse.Fuse, player: Player, journal: Path
) -> None:
    """Its gate, its words, and whether it was forbidden; the tool's log has no call."""
    fuse.held.grants = grants_of(b'{"agent":"clerk","tenant":"t","tools":{}}')

    assert not player.play(quick([Act("drop", {}, {}, 1.0, forbidden=True)]))
    (refusal,) = Tail(journal).read()
    assert isinstance(refusal, Refusal)
    assert (refusal.tool, refusal.gate, refusal.forbidden) == ("drop", "allowlist", True)
    assert refusal.asked_us <= refusal.at_us


def test_a_tool_says_something_new_for_one_call_only(
    fuse: tracefuse.Fuse, player: Player, journal: Path
) -> None:
    """The call is refused by its description; the next one, as it was approved, runs."""
    approved = fuse.describe("find", "old")
    file = f'{{"agent":"clerk","tenant":"t","tools":{{"find":{{"descriptor":"{approved}"}}}}}}'
    fuse.held.grants = grants_of(file.encode())
    bent = Act("find", {}, {}, 1.0, forbidden=True, described=("new", "old"))

    assert not player.play(quick([bent]))
    assert player.play(quick([Act("find", {}, {}, 1.0)]))
    refusal, call = Tail(journal).read()
    assert isinstance(refusal, Refusal) and refusal.gate == "descriptor"
    assert isinstance(call, Call) and not call.forbidden


def test_a_tool_fails_in_the_runs_of_one_bundle(
    fuse: tracefuse.Fuse, player: Player, journal: Path
) -> None:
    """The tool's log names the version of each call; without one nothing fails."""
    act = Act("find", {}, {}, 1.0, fails_in="b2", patience_s=0.5)
    for bundle in ("b1", "b2", ""):
        player.play(Script("refund", "u", "please", [act], urgent=True, bundle=bundle))
    calls = [entry for entry in Tail(journal).read() if isinstance(entry, Call)]

    assert [(call.bundle, call.failed) for call in calls] == [
        ("b1", False), ("b2", True), ("", False),
    ]  # fmt: skip
    assert all(call.needs_person for call in calls)


def test_what_the_user_got_is_on_file(
    fuse: tracefuse.Fuse, transport: MemoryTransport, player: Player, journal: Path
) -> None:
    """The declared fallback for an answer without its form; an answer in form as it is."""
    fallback = '{"agent":"clerk","tenant":"t","fallbacks":{"output":"{\\"say\\": \\"later\\"}"}}'
    fuse.held.grants = grants_of(fallback.encode())
    for answer, bad in (("Sure!", True), ('{"say": "now"}', False)):
        script = Script("refund", "u", "m", [], answer, form=dict[str, str], malformed=bad)
        assert player.play(script)
    fuse.close()
    replaced, kept = Tail(journal).read()

    assert isinstance(replaced, Told) and isinstance(kept, Told)
    assert (replaced.said, replaced.malformed, replaced.replaced) == ({"say": "later"}, True, True)
    assert (kept.said, kept.malformed, kept.replaced) == ('{"say": "now"}', False, False)
    outputs = [event for event in events(transport.sent) if event.name == "output"]
    assert [event.status for event in outputs].count("error") == 1
    assert {event.trace_id for event in outputs if event.status == "error"} == {replaced.trace_id}


def test_who_is_told_to_stop_ends_the_run_in_order(
    fuse: tracefuse.Fuse, transport: MemoryTransport, player: Player, journal: Path
) -> None:
    """No further move is made, yet the run has its output and its end."""
    player.stopping = True

    assert player.play(quick(MOVES))
    fuse.close()
    names = [event.name for event in events(transport.sent)]
    assert names == ["run.start", "input.user", "output", "run.end"]


def test_a_reader_never_sees_half_an_entry(tmp_path: Path) -> None:
    """A line that is still being written is left for the next look; nothing is read twice."""
    path, call = tmp_path / "j", Call("a" * 32, 1, "pay", 1, 2, 3)
    tail, whole = Tail(path), msgspec.json.encode(call) + b"\n"

    assert tail.read() == []
    path.write_bytes(whole + whole[:10])
    assert tail.read() == [call]
    path.write_bytes(whole + whole)
    assert tail.read() == [call]
    assert tail.read() == []


def test_a_fault_begins_and_ends_in_its_time() -> None:
    """Before and after the fault, and just before its end, an agent works like its twin."""
    role = fleet(["error_spike"], healthy=0)[0]
    fault = role.fault
    assert fault is not None
    mine = Work(role, Random(1))

    def failing(elapsed_s: float, left_s: float = 60.0) -> bool:
        acts = [move for move in mine.next(elapsed_s, left_s).moves if isinstance(move, Act)]
        return sum(bool(act.error) for act in acts) > len(acts) / 2

    assert not failing(fault.fault_at_s - 0.1) and not mine.faulty
    assert failing(fault.fault_at_s) and mine.faulty
    assert not failing(fault.fault_at_s, left_s=1.0)
    assert not failing(fault.fault_at_s + fault.fault_s)


def test_a_late_agent_hurries_but_never_spins() -> None:
    """Behind its schedule a call takes a smaller share of its latency, never less than the least."""
    pace = Pace(10.0, now=0.0)
    pace.note(10)

    assert pace.wait(now=0.5) == 0.5 and pace.scale(now=0.5) == 1.0
    assert pace.scale(now=1.5) == 0.5
    assert pace.scale(now=100.0) == 0.02


def test_what_was_missed_is_not_made_up_for() -> None:
    """An agent that was stopped for a minute owes one second of work, not a minute's."""
    pace = Pace(10.0, now=0.0)
    assert pace.wait(now=60.0) == 0.0
    pace.note(11)

    assert pace.wait(now=60.0) == pytest.approx(0.1)


def test_latencies_stay_far_below_what_is_declared() -> None:
    """No healthy call takes as long as its tool declares."""
    random = Random(3)
    slowest = max(
        work.act(tool, random).latency_ms
        for task in work.TASKS.values()
        for tool in task.instruments
        for _ in range(500)
    )

    assert slowest <= work.LATENCY_MS_MAX < work.DECLARED_MS

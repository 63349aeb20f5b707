"""Agents at work, as an owner counts and tells them."""

from itertools import pairwise

import msgspec

from ingest import codec
from ingest.records import Census
from ingest.topics import FLEET, INBOX
from stream.detect.detect import Detect
from stream.detect.roll import ACTIVE_SECONDS, TENANTS_MAX
from stream.outputs import Output
from tests.pipe import TENANT, VERIFIER, Pipe, Told, found, registered, trace_id
from tracefuse import wire


def told(outputs: list[Output]) -> list[dict[str, int]]:
    """Counts of `TENANT`, in order; of whichever partition."""
    return [fact.active for fact in censuses(outputs)]


def censuses(outputs: list[Output]) -> list[Census]:
    facts: list[Census] = found(outputs, FLEET, Census)
    return facts


def agent(pipe: Pipe, n: int = 1, tenant: str = TENANT) -> list[Output]:
    return pipe.send(*Told(f"agent-{n}", trace_id(n), tenant=tenant).call(n))


def test_a_sign_of_life_counts_and_is_told_with_the_next_tick() -> None:
    """Once, however often the agent is heard of."""
    pipe = Pipe()
    agent(pipe)
    first = pipe.wait(2.0)
    agent(pipe)

    assert told(first) == [{TENANT: 1}]
    assert told(pipe.wait(5.0)) == []


def test_a_file_alone_is_no_sign_of_life() -> None:
    """Who was registered and never ran makes no tenant larger."""
    pipe = Pipe()
    pipe.tell(registered())

    assert told(pipe.wait(2.0)) == []


def test_what_waited_on_a_disk_is_no_sign_of_life() -> None:
    """A spool says who lived, not who lives."""
    pipe = Pipe()
    pipe.send(*Told().call(1), spooled=True)

    assert told(pipe.wait(2.0)) == []


def test_who_is_silent_leaves() -> None:
    """After five minutes at the earliest, after ten at the latest."""
    pipe = Pipe()
    agent(pipe)
    pipe.wait(ACTIVE_SECONDS / 2)
    agent(pipe)
    still = told(pipe.wait(ACTIVE_SECONDS - 1.0))
    left = told(pipe.wait(ACTIVE_SECONDS))

    assert still == [{TENANT: 1}] or still == []
    assert left == [{TENANT: 0}]


def test_changes_are_told_once_a_second_at_most() -> None:
    """A fleet that starts is told in few lines, and completely."""
    pipe = Pipe()
    out: list[Output] = []
    for n in range(12):
        agent(pipe, n)
        out += pipe.wait(0.5)
    out += pipe.wait(2.0)
    latest: dict[int, int] = {}
    for fact in censuses(out):
        latest[fact.src[1]] = fact.active[TENANT]

    assert sum(latest.values()) == 12
    for number in latest:
        at = [fact.src[2] for fact in censuses(out) if fact.src[1] == number]
        times = [pipe.logs[INBOX, number][offset].timestamp for offset in at]
        assert all(b - a >= 1.0 for a, b in pairwise(times))


def test_an_outage_of_ours_silences_nobody() -> None:
    """Record time jumps by ten minutes: who was at work counts until it had time to be heard."""
    pipe = Pipe()
    agent(pipe)
    pipe.wait(2.0)
    jumped = told(pipe.jump(600.0))
    agent(pipe)

    assert jumped == []
    assert told(pipe.wait(ACTIVE_SECONDS - 1.0)) == []


def test_who_is_forgotten_is_counted_no_more() -> None:
    """An owner holds so many agents; one that makes room for another is at work for nobody."""
    detect, offset, now = Detect(0, VERIFIER, agents_max=3), 0, 100.0
    out: list[Output] = []
    names = [f"agent-{n}" for n in range(5)]
    for n, name in enumerate(names):
        alive = {
            "type": "alive", "src": ("agent.events.v1", 0, n, 0, 0), "tenant": TENANT,
            "agent_id": name, "trace_id": "t", "event_id": "e", "emitted_at": 1, "in_run": False,
        }  # fmt: skip
        detect.apply(offset, now, [(wire.KIND, codec.INBOX)], msgspec.json.encode(alive))
        offset += 1
    out += detect.apply(offset, now + 2.0, [(wire.KIND, codec.TICK)], b"{}")

    assert told(out) == [{TENANT: 3}]


def test_tenants_are_bounded() -> None:
    """One tenant too many is not counted: its brake lets one agent through."""
    detect, now = Detect(0, VERIFIER), 100.0
    for n in range(TENANTS_MAX + 5):
        alive = {
            "type": "alive", "src": ("agent.events.v1", 0, n, 0, 0), "tenant": f"t{n}",
            "agent_id": "a", "trace_id": "t", "event_id": "e", "emitted_at": 1, "in_run": False,
        }  # fmt: skip
        detect.apply(n, now, [(wire.KIND, codec.INBOX)], msgspec.json.encode(alive))
    out = detect.apply(TENANTS_MAX + 5, now + 2.0, [(wire.KIND, codec.TICK)], b"{}")

    assert [len(active) for active in told(out)] == [TENANTS_MAX]

"""The demo's people on a real broker and store: the same records as from a keyboard, and nothing else."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from dashboards.demo_facts import Deed
from dashboards.demo_person import Person
from ingest import codec
from ingest.keys import Keys, create
from ingest.provision import provision
from ingest.records import Decided, Decision, Outcome, Wanted
from ingest.settings import Settings
from ingest.simulate.roles import agent_file, fleet
from ingest.topics import APPROVALS, INBOX
from stream.people import approvals, rollout
from stream.people.registration import publish
from tests.ordering import records, standing
from tracefuse import wire
from tracefuse.clock import now_us

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

TENANT = "demo"
ROLES = fleet(
    ["killed", "promotion_refused", "approval_given", "approval_refused", "unapproved"], healthy=1
)


@pytest.fixture(scope="module")
def place(settings: Settings) -> tuple[Settings, Keys]:
    asyncio.run(provision(settings))
    keys = create(settings.keys_folder)
    asyncio.run(publish(settings, keys, [agent_file(role, TENANT) for role in ROLES]))
    return settings, keys


@pytest.fixture
def person(place: tuple[Settings, Keys]) -> Iterator[Person]:
    with Person(*place, TENANT, ROLES) as made:
        yield made


def until(look: Callable[[], Sequence[Deed]], count: int, seconds: float = 30.0) -> list[Deed]:
    found: list[Deed] = []
    end = time.monotonic() + seconds
    while len(found) < count and time.monotonic() < end:
        found += look()
        time.sleep(0.05)
    return found


def test_a_kill_is_a_person_s_order(place: tuple[Settings, Keys], person: Person) -> None:
    """Nobody is stopped before the fault begins, nor who is not to be; then the order is signed."""
    settings, _ = place
    person.begins("unapproved")
    time.sleep(1.5)
    assert person.deeds() == []
    person.begins("killed")
    (deed,) = until(person.deeds, 1)
    stop = asyncio.run(standing(settings, "agent:demo/killed", "human"))

    assert stop is not None and (stop.cmd_id, stop.issued_at) == (deed.cmd_id, deed.at_us)
    assert (deed.agent_id, deed.what, deed.outcome) == ("killed", "kills", "forced_open")


def test_a_promotion_is_refused_and_the_file_stays(
    place: tuple[Settings, Keys], person: Person
) -> None:
    """In the words of the command: what lacks. The file in force is the one that was published."""
    settings, keys = place
    person.begins("promotion-refused")
    (deed,) = until(person.deeds, 1)
    file = asyncio.run(rollout.current(settings, keys, TENANT, "promotion-refused"))

    assert deed.outcome == "refused"
    assert "0 of 1000 runs" in deed.text and "0 of 14 days" in deed.text
    assert file.granted == ("staging",) and file.version == 1


def test_only_who_is_to_be_answered_is(place: tuple[Settings, Keys], person: Person) -> None:
    """A yes to one, a no to the other, by an approver; nothing to a third agent, or another tenant's."""
    settings, _ = place
    wanted = [
        waiting("a-yes", "approval-given"), waiting("a-no", "approval-refused"),
        waiting("a-none", "unapproved"), waiting("a-other", "approval-given", tenant="other"),
    ]  # fmt: skip
    asyncio.run(ask(settings, wanted))
    person.begins("approval-given")
    person.begins("approval-refused")
    found = until(lambda: answered(settings, wanted) or person.deeds(), 2)

    assert {(d.agent_id, d.what, d.outcome) for d in found} == {
        ("approval-given", "approves", "approved"), ("approval-refused", "refuses", "refused"),
    }  # fmt: skip
    assert {fact.approval_id for fact in decisions(settings, wanted)} == {"a-yes", "a-no"}


def waiting(approval_id: str, agent: str, tenant: str = TENANT) -> Wanted:
    now = now_us() / 1e6
    return Wanted(
        approval_id=approval_id, tenant=tenant, agent_id=agent, trace_id="a" * 32, call_id="c",
        tool="bank.transfer", approvers=["treasurer"], at=now, expires_at=now + 600,
    )  # fmt: skip


def decisions(settings: Settings, wanted: Sequence[Wanted]) -> list[Decided]:
    """What people have signed so far."""
    places = {wire.partition_of(wire.agent_key(one.tenant, one.agent_id)) for one in wanted}
    facts = [
        codec.fact(line)
        for number in sorted(places)
        for record in asyncio.run(records(settings, INBOX, number))
        for line in codec.lines(record.value)
    ]
    return [fact for fact in facts if isinstance(fact, Decided)]


def answered(settings: Settings, wanted: Sequence[Wanted]) -> list[Deed]:
    """The owner's part, in place of a worker: each signed answer becomes an outcome, once."""
    asked = {one.approval_id: one for one in wanted}
    _, ended = asyncio.run(approvals.records(settings))
    for fact in decisions(settings, wanted):
        one, decision = asked[fact.approval_id], msgspec.json.decode(fact.payload, type=Decision)
        if fact.approval_id not in ended:
            word = "approved" if decision.approved else "refused"
            outcome = Outcome(
                approval_id=one.approval_id, tenant=one.tenant, agent_id=one.agent_id,
                trace_id=one.trace_id, call_id=one.call_id, tool=one.tool, outcome=word,
                by=decision.by, at=now_us() / 1e6,
            )  # fmt: skip
            asyncio.run(ask(settings, [outcome]))
    return []


async def ask(settings: Settings, lines: Sequence[Wanted | Outcome]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=settings.bootstrap, acks="all") as producer:
        for one in lines:
            key = wire.agent_key(one.tenant, one.agent_id)
            await producer.send_and_wait(
                APPROVALS, codec.encode(one), key=key.encode(), partition=wire.partition_of(key),
                headers=[(wire.KIND, codec.APPROVALS)],
            )  # fmt: skip

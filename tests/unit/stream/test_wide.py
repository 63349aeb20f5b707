"""Breakers of wide scopes: people's words in, the owner's own record out, in order and once."""

from collections.abc import Sequence

import pytest

from ingest import codec
from stream.correlate.correlate import Correlate
from stream.outputs import Line, Output
from stream.stopping.wide import CALM_SECONDS
from tests.pipe import AUTO, HUMAN, START, commands
from tracefuse import people, wire
from tracefuse.control import Command, Reason, State
from tracefuse.people import Signed
from tracefuse.signing import CommandSigner, CommandVerifier

BOB = CommandSigner("human/second/1", b"s" * 32)
VERIFIER = CommandVerifier({signer.kid: signer.public for signer in (HUMAN, BOB, AUTO)})
TENANT = "tenant:acme"
SCOPES = (TENANT, "class:acme/write", "shared_tool:acme/crm.refund")


class Case:
    """Correlate alone, with a clock turned by hand."""

    def __init__(self) -> None:
        self.core = Correlate(0, VERIFIER)
        self.now, self.offset = START, -1

    def record(self, value: bytes, kind: bytes) -> Sequence[Output]:
        self.offset += 1
        return self.core.apply(self.offset, self.now, [(wire.KIND, kind)], value)

    def tell(self, said: Signed) -> list[tuple[str, str]]:
        return self._states(self.record(codec.encode(said), codec.ORDERS))

    def wait(self, seconds: float) -> list[tuple[str, str]]:
        self.now += seconds
        return self._states(self.record(b"{}", codec.TICK))

    def _states(self, outputs: Sequence[Output]) -> list[tuple[str, str]]:
        return [(command.scope, command.state) for command in commands(outputs)]


def word(
    state: State, epoch: int, scope: str = TENANT, signer: CommandSigner = HUMAN, **more: int
) -> Signed:
    command = Command(
        cmd_id=f"h{epoch}", scope=scope, author="human", action="open", state=state, epoch=epoch,
        reason=Reason("human", "because"), **more,  # type: ignore[arg-type]
    )  # fmt: skip
    return people.sign(command, signer)


@pytest.mark.parametrize("scope", SCOPES)
def test_a_wide_scope_is_stopped_and_tried_again(scope: str) -> None:
    """Forced open, then half-open with probes, then closed once it was tried for a minute."""
    case = Case()

    assert case.tell(word("forced_open", 1, scope)) == [(scope, "forced_open")]
    assert case.wait(10_000.0) == []  # no time ends a person's stop
    assert case.tell(word("half_open", 2, scope)) == [(scope, "half_open")]
    assert case.core.standing[scope].probes == 3
    assert case.wait(CALM_SECONDS - 1) == []
    assert case.wait(1.0) == [(scope, "closed")]
    assert case.core.standing == {}


def test_the_owner_says_who_and_from_what() -> None:
    """Its command names the person's reason and the record it follows from; epochs rise."""
    case = Case()
    case.wait(1.0)
    case.tell(word("forced_open", 1))
    stop = case.core.standing[TENANT]
    case.tell(word("half_open", 2))

    assert (stop.author, stop.reason.text, stop.src) == (
        "auto",
        "because",
        (Correlate.topic, 0, 1, 0, 0),
    )
    assert case.core.standing[TENANT].epoch > stop.epoch


def test_old_words_are_no_words() -> None:
    """The same order again, and a release from before the stop, change nothing."""
    case = Case()
    release, stop = word("half_open", 1), word("forced_open", 2)
    case.tell(stop)

    assert case.tell(release) == []
    assert case.tell(stop) == []
    case.tell(word("half_open", 3))
    assert case.tell(stop) == []  # stopped and released: a copy of the stop stops nobody


def test_a_release_of_nothing_changes_nothing() -> None:
    """A scope that stands closed stays so."""
    assert Case().tell(word("half_open", 1)) == []


@pytest.mark.parametrize(
    "said",
    [
        word("forced_open", 1, signer=AUTO),
        word("forced_open", 1, signer=CommandSigner("human/1", b"x" * 32)),
        word("forced_open", 1, signer=CommandSigner("human/stranger/1", b"x" * 32)),
        word("forced_open", 1, "agent:acme/refunds"),
        word("forced_open", 1, "fleet"),
        people.cosign(word("forced_open", 1, "fleet"), HUMAN),
        word("closed", 1),
    ],
    ids=["worker", "forged", "stranger", "narrow", "one for the fleet", "one twice", "no order"],
)  # fmt: skip
def test_what_nobody_may_say_is_nothing(said: Signed) -> None:
    """Forged, not by enough people, or not correlate's affair; and it does not use up an epoch."""
    case = Case()

    assert case.tell(said) == []
    assert case.core.standing == {}
    assert len(case.core.partition) == 0
    assert case.tell(word("forced_open", 1)) == [(TENANT, "forced_open")]


def test_two_people_stop_the_fleet() -> None:
    """Control of the one above: with the second signature the owner follows."""
    case = Case()

    assert case.tell(people.cosign(word("forced_open", 1, "fleet"), BOB)) == [
        ("fleet", "forced_open")
    ]


def test_a_release_expires_and_a_stop_does_not() -> None:
    """What lay about for too long relaxes nothing."""
    case, past = Case(), int((START - 60) * 1e6)

    assert case.tell(word("forced_open", 1, expires_at=past)) == [(TENANT, "forced_open")]
    assert case.tell(word("half_open", 2, expires_at=past)) == []
    assert case.tell(word("half_open", 3, expires_at=int(START * 1e6))) == [(TENANT, "half_open")]


def test_it_goes_on_where_it_was() -> None:
    """A restored owner says the same next words, and knows what stands."""
    case = Case()
    case.tell(word("forced_open", 1))
    case.tell(word("forced_open", 1, "class:acme/write"))
    case.tell(word("half_open", 2))
    snapshot = case.core.freeze()
    while case.core.partition.encode_some(snapshot):
        pass
    other = Case()
    cells = {key: cell for key, cell in snapshot.cells.items() if cell is not None}
    other.core.restore(snapshot.marker, cells)
    other.now, other.offset = case.now, case.offset

    assert other.core.standing == case.core.standing
    assert other.tell(word("forced_open", 1)) == []
    assert other.wait(CALM_SECONDS) == [(TENANT, "closed")]
    assert other.tell(word("half_open", 3, "class:acme/write")) == [
        ("class:acme/write", "half_open")
    ]


def test_an_unreadable_order_is_set_aside() -> None:
    """A dead letter, and the next order counts."""
    case = Case()
    (dead,) = case.record(b"[]", codec.ORDERS)

    assert isinstance(dead, Line)
    assert dead.kind == codec.DEAD
    assert case.tell(word("forced_open", 1)) == [(TENANT, "forced_open")]

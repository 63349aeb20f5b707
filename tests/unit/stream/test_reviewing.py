"""Allowed calls looked at afterwards, through the pure cores: which are put aside, and whose word counts."""

from typing import Any

import msgspec
import pytest

from ingest import codec
from ingest.records import Label, Review, Reviewed, Sampled
from ingest.topics import APPROVALS, EVENTS
from stream.agent.spoken import JUDGES_MAX, NAME_CHARACTERS_MAX
from stream.detect import reviewing
from stream.detect.detect import Detect
from stream.detect.reviewing import chosen, record_key
from stream.outputs import Line, Output
from tests.pipe import AGENT, AUTO, HUMAN, TENANT, TRACE, Pipe, Told, registered, signals, trace_id
from tests.unit.stream.test_held_calls import FILE, TOOL, asked, verdicts
from tracefuse.signing import CommandSigner
from tracefuse.verdicts import encode as encode_verdict


def records(out: list[Output], kind: type[Any]) -> list[Any]:
    """Records of one kind on the topic of approvals."""
    lines = [o for o in out if isinstance(o, Line) and o.topic == APPROVALS]
    found = [msgspec.json.decode(line.value, type=Sampled | Label) for line in lines]
    return [record for record in found if isinstance(record, kind)]


class Seen:
    """An agent of whose allowed calls all are put aside, and one that was."""

    def __init__(self, **more: Any) -> None:
        self.pipe, self.told = Pipe(), Told()
        self.pipe.tell(registered(**(FILE | {"review_share": 1.0} | more)))
        self.out = self.pay(1)
        self.clock = 0

    def pay(self, call: int, **more: Any) -> list[Output]:
        said = {"user_id": "carl", "decision_args": {"amount": 5}, "task_type": "refund"} | more
        return self.pipe.send(asked(self.told, call, **said))

    def review(self, call: int = 1, signer: CommandSigner = HUMAN, **more: Any) -> Reviewed:
        """A person's word, signed as the command line does; each later than the last."""
        self.clock += 1
        fields: dict[str, Any] = {
            "trace_id": TRACE, "call_id": f"call-{call}", "tool": TOOL,
            "args_hash": f"args-{call}", "label": "wrong", "by": "ann", "at": self.clock,
        }  # fmt: skip
        payload = codec.encode(Review(**(fields | more)))
        key = record_key(TENANT, AGENT, TRACE, f"call-{call}")
        return Reviewed(
            record_id=f"rev-{self.clock}", tenant=TENANT, agent_id=AGENT, trace_id=TRACE,
            call_id=f"call-{call}", kid=signer.kid, sig=signer.sign(key, payload), payload=payload,
        )  # fmt: skip

    def say(self, call: int = 1, **more: Any) -> list[Output]:
        return self.pipe.tell(self.review(call, **more))


# -- which are put aside ----------------------------------------------------------------------------


def test_an_allowed_call_is_put_aside_as_people_read_it() -> None:
    """Who, what and for whom; once, also where the call asks again."""
    seen = Seen()
    (sampled,) = records(seen.out, Sampled)
    again = seen.pay(1) + seen.pay(1, attempt=2)

    assert (sampled.tenant, sampled.agent_id, sampled.trace_id) == (TENANT, AGENT, TRACE)
    assert (sampled.call_id, sampled.tool, sampled.args_hash) == ("call-1", TOOL, "args-1")
    assert (sampled.user_id, sampled.task_type) == ("carl", "refund")
    assert (sampled.decision_args, sampled.at) == ({"amount": 5}, seen.pipe.now)
    assert [v.word for v in verdicts(again)] == ["allow", "allow"]
    assert records(again, Sampled) == []


def test_a_call_that_was_not_allowed_is_not_put_aside() -> None:
    """What was denied or waits for a person shows elsewhere; what was not held asked nobody."""
    seen = Seen()
    rule = {"name": "large", "when": "args.amount > 10", "approvers": ["ann"]}
    seen.pipe.tell(registered(**(FILE | {"review_share": 1.0, "approvals": [rule], "version": 2})))
    denied = seen.pay(2, tool="crm.drop")
    waits = seen.pay(3, decision_args={"amount": 11})
    free = seen.pay(4, deadline_ms=0)

    assert [v.word for v in verdicts(denied) + verdicts(waits)] == ["deny", "needs_approval"]
    assert [o for o in denied + free if isinstance(o, Line) and o.topic == APPROVALS] == []
    assert b'"type":"sampled"' not in b"".join(o.value for o in waits if isinstance(o, Line))


def test_no_share_puts_nothing_aside() -> None:
    """A file that says nothing costs nobody's time."""
    assert records(Seen(review_share=0.0).out, Sampled) == []


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_the_share_is_met(share: float) -> None:
    """Of 20,000 calls, within four standard deviations: the draw is fixed, so this never flickers."""
    calls = 20_000
    drawn = sum(chosen(f"call-{n}", (EVENTS, 0, n, 0, 0), share) for n in range(calls))

    assert abs(drawn - calls * share) < 4 * (calls * share * (1 - share)) ** 0.5


def test_a_larger_share_takes_more_and_not_others() -> None:
    """Whoever raises the share keeps what was chosen; all of it means all, none means none."""
    calls = [(f"call-{n}", (EVENTS, 0, n, 0, 0)) for n in range(2000)]
    some, more = ({c for c in calls if chosen(*c, share)} for share in (0.1, 0.3))

    assert some < more
    assert [sum(chosen(*call, share) for call in calls) for share in (0.0, 1.0)] == [0, 2000]


def test_an_agent_cannot_name_its_calls_out_of_the_share() -> None:
    """The same name is drawn anew wherever the broker puts it."""
    drawn = [chosen("call-1", (EVENTS, 0, offset, 0, 0), 0.5) for offset in range(1000)]

    assert 400 < sum(drawn) < 600


def test_a_replay_chooses_and_judges_the_same() -> None:
    """Killed after any record and restored: the same verdicts, calls and labels, byte for byte."""
    seen = Seen(review_share=0.5)
    for call in range(2, 40):
        seen.pay(call)
        if call % 3 == 0:
            seen.say(call)
            seen.say(call, label="right", by="bob")
    said = spoken(seen.pipe.out)
    number, first = next(iter(seen.pipe.detects.items()))
    log = next(found for (topic, _), found in seen.pipe.logs.items() if topic != EVENTS)
    for cut in (5, 20, 60):
        core, out = Detect(number, first.verifier), list[Output]()
        for record in log[:cut]:
            out += core.apply(*record)
        snapshot = core.freeze()
        while core.partition.encode_some(snapshot):
            pass
        core = Detect(number, first.verifier)
        core.restore(snapshot.marker, {k: c for k, c in snapshot.cells.items() if c is not None})
        for record in log[cut:]:
            out += core.apply(*record)
        assert spoken(out) == said

    assert 10 < len(records(seen.pipe.out, Sampled)) < 30
    assert len(records(seen.pipe.out, Label)) > 5


def spoken(out: list[Output]) -> list[bytes]:
    return [o.value if isinstance(o, Line) else encode_verdict(o.verdict) for o in out]  # type: ignore[union-attr]


# -- whose word counts ------------------------------------------------------------------------------


def test_a_label_is_on_record_with_who_said_it() -> None:
    """What was judged, by whom, with which key, when."""
    seen = Seen()
    (label,) = records(seen.say(note="the fee was paid twice"), Label)

    assert (label.call_id, label.tool, label.args_hash) == ("call-1", TOOL, "args-1")
    assert (label.label, label.by, label.note) == ("wrong", "ann", "the fee was paid twice")
    assert (label.kid, label.said_at, label.at) == (HUMAN.kid, 1, seen.pipe.now)


def test_a_person_may_change_their_mind_and_others_disagree() -> None:
    """Each newer word of a person counts, and each person's."""
    seen = Seen()
    out = seen.say() + seen.say(label="right") + seen.say(by="bob")

    assert [(label.by, label.label) for label in records(out, Label)] == [
        ("ann", "wrong"), ("ann", "right"), ("bob", "wrong"),
    ]  # fmt: skip


VOID: dict[str, dict[str, Any]] = {
    "who asked": {"by": "carl"},
    "nobody": {"by": ""},
    "a worker's key": {"signer": AUTO},
    "a foreign key": {"signer": CommandSigner("human/1", b"x" * 32)},
    "another tool": {"tool": "crm.drop"},
    "other arguments": {"args_hash": "other"},
    "another call": {"call_id": "call-2"},
    "another run": {"trace_id": trace_id(9)},
    "another word": {"label": "perhaps"},
    "a name without end": {"by": "a" * (NAME_CHARACTERS_MAX + 1)},
    "a note without end": {"note": "a" * (reviewing.NOTE_CHARACTERS_MAX + 1)},
}


@pytest.mark.parametrize("what", VOID)
def test_a_label_that_does_not_count_changes_nothing(what: str) -> None:
    """It is told, and the right one still counts."""
    seen = Seen()
    out = seen.say(**VOID[what])
    right = seen.say()

    assert records(out, Label) == []
    assert [s.detector for s in signals(out)] == ["review"]
    assert [s.evidence["record_id"] for s in signals(out)] == ["rev-1"]
    assert [label.by for label in records(right, Label)] == ["ann"]


def test_only_what_was_put_aside_can_be_judged() -> None:
    """No label for calls of somebody's choice: they would bend the measure."""
    seen = Seen(review_share=0.0)
    out = seen.say()

    assert records(out, Label) == []
    assert "put aside" in signals(out)[0].sentence


def test_a_label_of_one_call_is_none_of_another() -> None:
    """The signature holds the call: the same bytes under another name count for neither."""
    seen = Seen()
    seen.pay(2)
    moved = msgspec.structs.replace(seen.review(1), call_id="call-2")
    out = seen.pipe.tell(moved)

    assert records(out, Label) == []
    assert "signed" in signals(out)[0].sentence


def test_an_old_label_sent_again_does_not_become_the_newest() -> None:
    """Whoever can write into the inbox can't undo what a person corrected."""
    seen = Seen()
    first = seen.review()
    seen.pipe.tell(first)
    seen.say(label="right")
    out = seen.pipe.tell(first)

    assert records(out, Label) == []
    assert "newer" in signals(out)[0].sentence


def test_the_memory_is_bounded() -> None:
    """The oldest call is forgotten, and so many people judge one; those who did may still correct."""
    seen = Seen()
    for judge in range(JUDGES_MAX):
        assert records(seen.say(by=f"judge-{judge}"), Label)
    assert records(seen.say(by="one more"), Label) == []
    assert records(seen.say(by="judge-0", label="right"), Label)
    for call in range(2, reviewing.SAMPLED_MAX + 2):
        seen.pay(call)
    (agent,) = (
        state for core in seen.pipe.detects.values() for _, state in core.partition.states()
    )

    assert len(agent.sampled) == reviewing.SAMPLED_MAX
    assert records(seen.say(1, by="judge-0"), Label) == []
    assert records(seen.say(2), Label)

"""Calls that wait for a person, through the pure cores: bound, in time, once, by whoever may."""

from typing import Any

import msgspec
import pytest

from ingest import codec
from ingest.records import Decided, Decision, Outcome, Wanted
from ingest.topics import APPROVALS
from stream.holding.approving import record_key
from stream.outputs import Line, Output
from tests.pipe import AGENT, AUTO, HUMAN, TENANT, Pipe, Told, registered, signals
from tests.unit.stream.test_held_calls import FILE, TOOL, answered, asked, verdicts
from tracefuse.signing import CommandSigner
from tracefuse.verdicts import Verdict

LARGE = {"name": "large", "when": "args.amount > 10", "approvers": ["ann", "bob"], "expires_s": 60}


def approvals(out: list[Output], kind: type[Any]) -> list[Any]:
    """Records of one kind on the topic of approvals."""
    lines = [o for o in out if isinstance(o, Line) and o.topic == APPROVALS]
    found = [msgspec.json.decode(line.value, type=Wanted | Outcome) for line in lines]
    return [record for record in found if isinstance(record, kind)]


class Waiting:
    """An agent whose large payments need a person, and one that waits."""

    def __init__(self, **more: Any) -> None:
        self.pipe, self.told = Pipe(), Told()
        self.pipe.tell(registered(**(FILE | {"approvals": [LARGE]} | more)))
        (self.verdict,) = self.ask("same", 1)
        self.id = self.verdict.approval_id

    def ask(self, args_hash: str, call: int = 0, **more: Any) -> list[Verdict]:
        """Ask for a large payment."""
        request = asked(
            self.told,
            call,
            args_hash=args_hash,
            decision_args={"amount": 50},
            user_id="carl",
            **more,
        )
        self.out = self.pipe.send(request)
        return verdicts(self.out)

    def answer(
        self, approved: bool = True, by: str = "ann", signer: CommandSigner = HUMAN, **more: Any
    ) -> list[Output]:
        """A person's answer, signed as the command line does."""
        fields: dict[str, Any] = {"approval_id": self.id, "tool": TOOL, "args_hash": "same"}
        payload = codec.encode(Decision(approved=approved, by=by, **(fields | more)))
        fact = Decided(
            record_id="d", tenant=TENANT, agent_id=AGENT, approval_id=self.id, kid=signer.kid,
            sig=signer.sign(record_key(self.id), payload), payload=payload,
        )  # fmt: skip
        return self.pipe.tell(fact)


def test_a_call_that_needs_a_person_asks_once() -> None:
    """The request names what is asked and who may answer; the same call asked again asks nobody anew."""
    waiting = Waiting()
    (wanted,) = approvals(waiting.out, Wanted)
    (again,) = waiting.ask("same")

    assert (wanted.approval_id, wanted.tool, wanted.decision_args) == (
        waiting.id,
        TOOL,
        {"amount": 50},
    )
    assert (wanted.approvers, wanted.user_id) == (["ann", "bob"], "carl")
    assert again.approval_id == waiting.id
    assert approvals(waiting.out, Wanted) == []


def test_a_yes_lets_this_call_run_once() -> None:
    """Asked again under its name it is allowed; the same name again is not."""
    waiting = Waiting()
    out = waiting.answer()
    (outcome,) = approvals(out, Outcome)
    (note,) = verdicts(out)
    (first,) = waiting.ask("same", 1, attempt=2, approval_id=waiting.id)
    (second,) = waiting.ask("same", 2, approval_id=waiting.id)

    assert (outcome.outcome, outcome.by, outcome.kid) == ("approved", "ann", HUMAN.kid)
    assert (note.call_id, note.attempt, note.word) == (waiting.id, 0, "allow")
    assert first.word == "allow"
    assert second.word == "needs_approval"
    assert second.approval_id != waiting.id


def test_a_yes_lets_no_call_run_twice_under_one_id() -> None:
    """The call has run; whoever enters it again needs another yes."""
    waiting = Waiting()
    waiting.answer()
    (first,) = waiting.ask("same", 1, attempt=2, approval_id=waiting.id)
    ran = asked(waiting.told, 1, args_hash="same")
    waiting.pipe.send(answered(waiting.told, ran, args_hash="same"))
    (second,) = waiting.ask("same", 1, attempt=2, approval_id=waiting.id)

    assert (first.word, second.word) == ("allow", "needs_approval")


def test_a_yes_is_for_these_arguments_alone() -> None:
    """Another amount under the same name asks anew; so does a yes that nobody gave."""
    waiting = Waiting()
    waiting.answer()
    (other,) = waiting.ask("other", approval_id=waiting.id)
    (invented,) = waiting.ask("same", approval_id="apr-0.0.0.0")

    assert (other.word, invented.word) == ("needs_approval", "needs_approval")


HUGE = {"name": "huge", "when": "args.amount > 40", "approvers": ["cfo"], "expires_s": 90}


def test_a_yes_to_one_rule_is_none_to_the_next() -> None:
    """Each rule hears whom it names; the second yes counts together with the first, once."""
    waiting = Waiting(approvals=[LARGE, HUGE])
    waiting.answer(by="ann")
    (half,) = waiting.ask("same", 1, attempt=2, approval_id=waiting.id)
    (wanted,) = approvals(waiting.out, Wanted)
    used, waiting.id = waiting.id, half.approval_id
    waiting.answer(by="cfo")
    (again,) = waiting.ask("same", 2, approval_id=used)
    (whole,) = waiting.ask("same", 1, attempt=3, approval_id=waiting.id)
    (twice,) = waiting.ask("same", 3, approval_id=waiting.id)

    assert (half.word, wanted.rule, wanted.approvers) == ("needs_approval", "huge", ["cfo"])
    assert [one.word for one in (again, whole, twice)] == [
        "needs_approval",
        "allow",
        "needs_approval",
    ]


def test_a_yes_counts_along_no_longer_than_its_own_rule_says() -> None:
    """The first one is a minute old when the second comes: its rule asks again."""
    waiting = Waiting(approvals=[LARGE, HUGE])
    waiting.answer(by="ann")
    (half,) = waiting.ask("same", 1, attempt=2, approval_id=waiting.id)
    waiting.id = half.approval_id
    waiting.pipe.wait(61)
    waiting.answer(by="cfo")
    (stale,) = waiting.ask("same", 1, attempt=3, approval_id=waiting.id)

    assert stale.word == "needs_approval"
    assert stale.reason.startswith("large")


@pytest.mark.parametrize(("by", "word"), [("dora", "needs_approval"), ("ann", "allow")])
def test_anybodys_yes_at_autonomy_1_is_not_an_approvers(by: str, word: str) -> None:
    """Whoever a rule names answers for both; anybody else only for the level of autonomy."""
    waiting = Waiting(autonomy=1)
    waiting.answer(by=by)
    (verdict,) = waiting.ask("same", 1, attempt=2, approval_id=waiting.id)

    assert waiting.verdict.gate == "autonomy"
    assert verdict.word == word


def test_a_call_that_asks_again_is_counted_once() -> None:
    """One write a day, agreed to by a person: it may run, and the next one may not."""
    waiting = Waiting(limits={"write": {"per_day": 1}})
    waiting.answer()
    (agreed,) = waiting.ask("same", 1, attempt=2, approval_id=waiting.id)
    (again,) = waiting.ask("other", 1, attempt=3)

    assert agreed.word == "allow"
    assert (again.word, again.gate) == ("deny", "stopped")  # what was allowed has had its turn


def test_a_yes_passes_no_other_gate() -> None:
    """A budget that is spent meanwhile denies the call that was agreed to."""
    waiting = Waiting(budgets={"run_usd": 0.01})
    spent = asked(waiting.told)
    waiting.pipe.send(spent)
    waiting.pipe.send(answered(waiting.told, spent, cost_usd=0.01))
    waiting.answer()
    (verdict,) = waiting.ask("same", 1, attempt=2, approval_id=waiting.id)

    assert (verdict.word, verdict.gate) == (
        "deny",
        "stopped",
    )  # the run cap stopped the run as well


def test_a_no_is_told_and_stays_one() -> None:
    """The process that waits hears it, with the reason."""
    waiting = Waiting()
    out = waiting.answer(approved=False, reason="not without the invoice")
    (note,) = verdicts(out)
    (verdict,) = waiting.ask("same", 1, attempt=2, approval_id=waiting.id)

    assert [o.outcome for o in approvals(out, Outcome)] == ["refused"]
    assert (note.word, note.reason) == ("deny", "refused by ann: not without the invoice")
    assert verdict.word == "needs_approval"


VOID: dict[str, dict[str, Any]] = {
    "a stranger": {"by": "eve"},
    "who asked": {"by": "carl"},
    "a worker's key": {"signer": AUTO},
    "a foreign key": {"signer": CommandSigner("human/1", b"x" * 32)},
    "another tool": {"tool": "crm.drop"},
    "other arguments": {"args_hash": "other"},
    "another request": {"approval_id": "apr-0.0.0.0"},
}


@pytest.mark.parametrize("who", VOID)
def test_an_answer_that_does_not_count_changes_nothing(who: str) -> None:
    """It is told, and the right one still counts."""
    waiting = Waiting()
    out = waiting.answer(**VOID[who])
    (verdict,) = waiting.ask("same", 1, attempt=2, approval_id=waiting.id)
    right = waiting.answer()

    assert (approvals(out, Outcome), verdicts(out)) == ([], [])
    assert [s.detector for s in signals(out)] == ["approval"]
    assert verdict.word == "needs_approval"
    assert [o.outcome for o in approvals(right, Outcome)] == ["approved"]


def test_who_asked_may_not_agree_where_anybody_may() -> None:
    """Also without a list of approvers: autonomy 1 sends every action to somebody else."""
    waiting = Waiting(approvals=[], autonomy=1)
    refused = waiting.answer(by="carl")
    agreed = waiting.answer(by="dora")

    assert approvals(refused, Outcome) == []
    assert [o.outcome for o in approvals(agreed, Outcome)] == ["approved"]


def test_nobody_answers() -> None:
    """At half time the owner hears of it, at its end the answer is no, and a yes comes too late."""
    waiting = Waiting()
    half, rest = waiting.pipe.wait(31), waiting.pipe.wait(30)
    late = waiting.answer()
    (verdict,) = waiting.ask("same", 1, attempt=2, approval_id=waiting.id)

    assert [(s.detector, s.severity) for s in signals(half)] == [("approval", "high")]
    assert [o.outcome for o in approvals(rest, Outcome)] == ["expired"]
    assert [v.word for v in verdicts(rest)] == ["deny"]
    assert approvals(late, Outcome) == []
    assert verdict.word == "needs_approval"


def test_a_yes_that_is_not_used_in_time_is_none() -> None:
    """It lasts as long as the waiting would have."""
    waiting = Waiting()
    waiting.answer()
    waiting.pipe.wait(61)
    (verdict,) = waiting.ask("same", 1, attempt=2, approval_id=waiting.id)

    assert verdict.word == "needs_approval"


def test_it_survives_a_restart() -> None:
    """What waits and what was agreed to are part of the checkpoint."""
    waiting = Waiting()
    for number, detect in list(waiting.pipe.detects.items()):
        snapshot = detect.freeze()
        while detect.partition.encode_some(snapshot):
            pass
        fresh = type(detect)(number, detect.verifier)
        fresh.restore(snapshot.marker, {k: c for k, c in snapshot.cells.items() if c is not None})
        waiting.pipe.detects[number] = fresh
    out = waiting.answer()

    assert [o.outcome for o in approvals(out, Outcome)] == ["approved"]

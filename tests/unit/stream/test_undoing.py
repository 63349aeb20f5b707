"""What can be taken back of a run, and what has been: from steps and events alone."""

from typing import Any

import msgspec
import pytest

from ingest.agent_file import AgentFile, Tool
from stream.people.undo_record import (
    ATTEMPTS_MAX,
    PLAN,
    Agreement,
    Seen,
    Standing,
    first,
    left,
    opened,
    run_of,
    signed,
    standing,
)
from stream.people.undoing import Change, Done, Plan, State, plan
from tracefuse.signing import CommandSigner, CommandVerifier

TRACE = "a" * 32
WHO = ("acme", "refunds", TRACE)
HUMAN, AUTO = CommandSigner("human/1", b"h" * 32), CommandSigner("auto/1", b"a" * 32)
VERIFIER = CommandVerifier({one.kid: one.public for one in (HUMAN, AUTO)})
FILE = AgentFile(
    "refunds",
    tenant="acme",
    tools={
        "crm.find": Tool(access="read"),
        "crm.refund": Tool(access="write", undo="crm.unrefund"),
        "crm.unrefund": Tool(access="write"),
        "crm.note": Tool(access="write"),
        "crm.lost": Tool(access="write", undo="crm.gone"),
        "mail.send": Tool(access="irreversible"),
        "bank.pay": Tool(access="irreversible", undo="crm.unrefund"),
    },
)


def done(tool: str = "crm.refund", call_id: str = "c1", **more: Any) -> Done:
    return Done(call_id=call_id, tool=tool, **more)


def ruled(one: Done) -> Change:
    (change,) = plan(*WHO, [one], FILE).changes
    return change


def states(before: str, after: str) -> dict[str, Any]:
    return {"before": State(before), "after": State(after)}


@pytest.mark.parametrize("tool", ["crm.refund", "bank.pay"])
def test_a_declared_undo_takes_a_call_back(tool: str) -> None:
    """Also of an irreversible one, where somebody knows a way."""
    assert ruled(done(tool)) == Change(done(tool), "can", "crm.unrefund")


@pytest.mark.parametrize(
    ("one", "word", "reason"),
    [
        (done("crm.note"), "cannot", "no undo is declared"),
        (done("mail.send"), "cannot", "irreversible, and no undo is declared"),
        (done("crm.lost"), "cannot", "its undo crm.gone is not in the agent's file"),
        (done("crm.drop"), "cannot", "the agent's file does not list it"),
        (done("memory.write"), "cannot", "the agent's file does not list it"),
        (
            done(complete=False, status=""),
            "cannot",
            "nobody knows how it ended: no result came",
        ),
        (
            done(status="error", **states("x", "y")),
            "cannot",
            "it failed, and the state after it differs",
        ),
        (done(status="error"), "nothing", "it failed"),
        (
            done(status="error", **states("x", "x")),
            "nothing",
            "it failed, and the state is as before",
        ),
        (done(status="not_run"), "nothing", "it was refused before it ran"),
    ],
)
def test_what_is_not_taken_back_has_a_reason(one: Done, word: str, reason: str) -> None:
    """Each reason alone keeps a call from being taken back."""
    found = ruled(one)

    assert (found.word, found.undo, found.reason) == (word, "", reason)


def test_a_read_is_no_change_unless_the_states_say_so() -> None:
    """What a file calls a read, and what changed something all the same, is shown."""
    reads = [
        done("crm.find", "c1"),
        done("crm.find", "c2", **states("x", "x")),
        done("crm.find", "c3", **states("x", "y")),
    ]
    found = plan(*WHO, reads, FILE)

    assert [(one.done.call_id, one.word) for one in found.changes] == [("c3", "cannot")]


def test_undo_runs_backwards() -> None:
    """The newest call is taken back first, in the order of the stream, whatever agents' clocks say."""
    calls = [done(call_id="c1", at=3), done(call_id="c2", at=1), done(call_id="c3", at=2)]

    assert [one.done.call_id for one in plan(*WHO, calls, FILE).changes] == ["c3", "c2", "c1"]


@pytest.mark.parametrize(
    "other",
    [
        plan(*WHO, [done(call_id="c2")], FILE),
        plan(*WHO, [done(decision_args={"amount": 2})], FILE),
        plan(*WHO, [done(**states("x", "y"))], FILE),
        plan(*WHO, [done(), done(call_id="c2")], FILE),
        plan(*WHO, [done()], AgentFile("refunds", tools={"crm.refund": Tool(access="write")})),
        plan("acme", "other", TRACE, [done()], FILE),
        plan("acme", "refunds", "b" * 32, [done()], FILE),
    ],
)
def test_another_plan_has_another_digest(other: Plan) -> None:
    """A word on one is none on the other; the same plan has the same one."""
    mine = plan(*WHO, [done()], FILE)

    assert other.digest != mine.digest
    assert plan(*WHO, [done()], FILE).digest == mine.digest


# -- the record --------------------------------------------------------------------------------------


def agreement(number: int = 1, boot_id: str = "b1", **calls: str) -> Agreement:
    return Agreement(
        tenant="acme", agent_id="refunds", trace_id=TRACE, run=run_of(*WHO, number),
        boot_id=boot_id, digest="d", by="ann", reason="wrong customer", at=1,
        calls=calls or {"c1": "u1"},
    )  # fmt: skip


def record(one: Agreement, signer: CommandSigner = HUMAN) -> Seen:
    attrs = msgspec.json.encode(signed(one, signer)).decode()
    return Seen(one.run, PLAN, one.boot_id, attrs=attrs)


def result(one: Agreement, call_id: str = "u1", status: str = "ok", error_type: str = "") -> Seen:
    return Seen(one.run, "tool.result", one.boot_id, call_id, status, error_type)


def ended(one: Agreement) -> Seen:
    return Seen(one.run, "run.end", one.boot_id)


def known(*seen: Seen) -> Standing:
    return standing(*WHO, list(seen), VERIFIER)


def test_an_agreement_is_what_was_signed() -> None:
    """Through the event and back; for this run only."""
    one = agreement()
    attrs = signed(one, HUMAN)

    assert opened(attrs, one.run, VERIFIER) == one
    with pytest.raises(ValueError, match="no person's word on this run"):
        opened(attrs, run_of(*WHO, 2), VERIFIER)


@pytest.mark.parametrize(
    "change",
    [
        {"agreement": msgspec.json.encode(agreement(c9="u9")).decode()},
        {"sig": signed(agreement(c9="u9"), HUMAN)["sig"]},
        {"sig": "?"},
        {"kid": "human/9"},
        {"agreement": "{}"},
        {"agreement": "["},
        signed(agreement(), AUTO),
    ],
)
def test_what_nobody_signed_is_no_agreement(change: dict[str, Any]) -> None:
    """Other words, another's signature, a worker's: none of them counts."""
    with pytest.raises(ValueError, match=r"signature|read|person"):
        opened(signed(agreement(), HUMAN) | change, agreement().run, VERIFIER)


def test_the_first_signed_word_counts() -> None:
    """Of two attempts under one id the log's order decides; forged words before them are passed over."""
    mine, other = agreement(), agreement(boot_id="b2")
    seen = [record(other, AUTO), record(mine), record(other)]

    assert first(seen, mine.run, VERIFIER) == mine
    assert first(seen[:1], mine.run, VERIFIER) is None


@pytest.mark.parametrize(
    ("told", "outcome"),
    [
        ([result(agreement())], "undone"),
        ([result(agreement(), status="error", error_type="KeyError")], "failed"),
        ([result(agreement(), status="error", error_type="KeyboardInterrupt")], "open"),
        ([result(agreement(), status="not_run")], None),
        ([result(agreement(), status="not_run"), result(agreement())], "undone"),
        ([Seen(agreement().run, "tool.request", "b1", "u1")], "open"),
        ([Seen(agreement().run, "tool.request", "b1", "u1"), ended(agreement())], "open"),
        ([], "open"),
        ([ended(agreement())], None),
        ([ended(agreement(boot_id="b2"))], "open"),
        ([result(agreement(boot_id="b2"))], "open"),
    ],
)
def test_what_became_of_a_call(told: list[Seen], outcome: str | None) -> None:
    """Unknown counts as begun: nothing is taken back twice for want of a record."""
    found = known(record(agreement()), *told)

    assert found.outcomes.get("c1") == outcome
    assert found.attempts == 1


def test_attempts_add_up() -> None:
    """A call that failed once and was taken back later is taken back; each attempt has its number."""
    one, two = agreement(1, c1="u1", c2="u2"), agreement(2, c1="u3")
    told = [
        record(one), result(one, status="error", error_type="E"), result(one, "u2"), ended(one),
        record(two), result(two, "u3"), ended(two),
    ]  # fmt: skip

    assert known(*told) == Standing({"c1": "undone", "c2": "undone"}, 2)
    assert known(*told[:4]) == Standing({"c1": "failed", "c2": "undone"}, 1)
    assert len({run_of(*WHO, number) for number in range(1, ATTEMPTS_MAX + 1)}) == ATTEMPTS_MAX


def test_only_what_is_left_is_taken_back() -> None:
    """What is done stays done, also where it is named; what is unknown waits for a person's look."""
    calls = [done(call_id=f"c{n}") for n in range(4)] + [done("mail.send", "m")]
    so_far = Standing({"c0": "undone", "c1": "failed", "c2": "open"}, 1)

    def ids(*again: str) -> list[str]:
        return [one.done.call_id for one in left(plan(*WHO, calls, FILE), so_far, again)]

    assert ids() == ["c3"]
    assert ids("c0", "c1", "m") == ["c3", "c1"]
    assert ids("c2") == ["c3", "c2"]

"""Single calls and answers that must not pass: each protection that is missing has a name in the report."""

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import pytest

from dashboards.demo_facts import (
    Account,
    Answered,
    Deed,
    Found,
    Ordered,
    Quantiles,
    Refused,
    Stored,
)
from dashboards.demo_outcome import outcome
from dashboards.demo_report import false_refusals, report
from ingest.simulate import failed_canary, malformed_output
from ingest.simulate.journal import Call, Change, Entry, Exit, Mark, Refusal, Told
from ingest.simulate.roles import Role, fleet

MS = 1_000
S = 1_000_000
A, B = "a" * 32, "b" * 32
NOTHING = Stored(0, 0, 0, 0, [], {}, [], Quantiles())
STILL = Mark(0, "fault")


def role_of(scenario: str) -> Role:
    return fleet([scenario], healthy=0)[0]


def account(*entries: Entry, deeds: Sequence[Deed] = ()) -> Account:
    made = Account()
    made.take(entries)
    made.deeds.extend(deeds)
    return made


def problem(scenario: str, account: Account, stored: Stored) -> str:
    return outcome(role_of(scenario), account, stored).problem


# -- gates that the agent's own process asks -------------------------------------------------------

GATES = [("changed_descriptor", "descriptor"), ("wrong_version", "version")]


@pytest.mark.parametrize(("name", "gate"), GATES)
def test_a_call_that_the_file_forbids_is_refused_and_on_record(name: str, gate: str) -> None:
    """By its own gate; a call that ran, another gate, or a refusal that nobody recorded is a problem."""
    agent = role_of(name).agent
    no = Refusal(A, "web.search", S, S + MS, gate, forbidden=True)
    known = replace(NOTHING, refusals=[Refused(agent, A, gate)])
    ran = Call(A, 1, "web.search", S, S, S, forbidden=True)

    assert problem(name, account(no), known) == ""
    assert problem(name, account(no, ran), known) == "1 calls ran that must not"
    assert problem(name, account(no), NOTHING) == "a refusal is not on record"
    other = msgspec.structs.replace(no, gate="allowlist")
    assert problem(name, account(other), known) == f"the gate {gate} refused nothing"


# -- people answer ---------------------------------------------------------------------------------

PAID = Call(A, 1, "bank.transfer", S, 3 * S, 4 * S, needs_person=True)
TOLD = [Found("approval-given", "policy", S, incident_id="i1")]


def given(*answers: Answered) -> Stored:
    return replace(NOTHING, signals=TOLD, answers=answers)


def yes(at: int, trace_id: str = A) -> Answered:
    return Answered("approval-given", trace_id, "approved", at)


def test_a_call_runs_after_a_yes_and_once() -> None:
    """Two calls with a yes each are two calls that waited."""
    again = msgspec.structs.replace(PAID, trace_id=B)
    result = outcome(role_of("approval_given"), account(PAID, again), given(yes(2 * S), yes(S, B)))

    assert (result.problem, result.stops, result.calls_after_stop) == ("", 2, 0)
    assert (result.detected, result.stopped, result.acknowledged) == (True, True, True)


@pytest.mark.parametrize(
    ("calls", "answers", "words"),
    [
        ([PAID], [], "1 calls ran without a yes of their own"),
        ([PAID], [yes(3 * S + 1)], "1 calls ran without a yes of their own"),
        ([PAID], [yes(2 * S, B)], "1 calls ran without a yes of their own"),
        ([PAID, PAID], [yes(2 * S)], "1 calls ran without a yes of their own"),
        ([PAID], [Answered("approval-given", A, "refused", 2 * S)],
         "1 calls ran without a yes of their own"),
        ([PAID], [Answered("another", A, "approved", 2 * S)],
         "1 calls ran without a yes of their own"),
        ([], [], "nobody agreed to anything"),
        ([], [yes(2 * S)], "1 calls did not run though somebody agreed"),
    ],
)  # fmt: skip
def test_a_call_without_a_yes_of_its_own_is_a_problem(
    calls: list[Call], answers: list[Answered], words: str
) -> None:
    """Too early, a second time, on another run's yes, after a no, or never at all."""
    assert problem("approval_given", account(*calls), given(*answers)) == words


def test_a_person_s_time_is_not_the_verdict_s() -> None:
    """How long people think says nothing of how fast verdicts come; nor is such a call a false refusal."""
    role = role_of("approval_given")
    late = Refusal(B, "bank.transfer", S, 16 * S, "approvals")
    mine = account(STILL, PAID, late, Exit(9 * S, {"emitted": 0, "delivered": 0}, 1.0))
    made = report([role], {role.agent: mine}, given(yes(2 * S)), "demo", 60.0, {})

    assert made.latency_ms["verdict"].n == 0
    assert false_refusals([role], {role.agent: mine}).total() == 1


def test_a_call_that_a_person_refused_never_runs() -> None:
    """The refusal is the gate's, and a person's no stands behind it, not only that nobody came."""
    no = Refusal(A, "bank.transfer", S, 3 * S, "approvals", forbidden=True)
    known = replace(
        NOTHING,
        signals=[Found("approval-refused", "policy", S, incident_id="i1")],
        refusals=[Refused("approval-refused", A, "approvals")],
        answers=[Answered("approval-refused", A, "refused", 2 * S)],
    )
    ran = msgspec.structs.replace(PAID, forbidden=True)

    assert problem("approval_refused", account(no), known) == ""
    assert problem("approval_refused", account(no, ran), known) == "1 calls ran that must not"
    silent = replace(known, answers=[])
    assert problem("approval_refused", account(no), silent) == "to 1 calls nobody said no"


# -- people stop, and promote ----------------------------------------------------------------------

SCOPE = "agent:demo/killed"
KILL = Deed("killed", "kills", "forced_open", 5 * S, "human-5")
ORDERS = [
    Ordered("human-5", SCOPE, "forced_open", "human", 5 * S + 20 * MS),
    Ordered("cmd-1", SCOPE, "forced_open", "human", 5 * S + 60 * MS),
]
HEARD = Change(5 * S + 30 * MS, SCOPE, "forced_open", "human-5", "human")
MIRRORED = Change(5 * S + 90 * MS, SCOPE, "forced_open", "cmd-1", "human")
KILLED = replace(NOTHING, orders=ORDERS, acknowledged={"human-5": 6 * S, "cmd-1": 6 * S})


def at(start: int, bundle: str = "") -> Call:
    return Call(A, 1, "kb.search", start, start, start + MS, bundle=bundle)


def test_a_kill_holds_from_the_moment_that_the_gate_heard_it() -> None:
    """Measured from the person's signature; the owner's own order afterwards changes nothing."""
    mine = account(STILL, at(5 * S), HEARD, MIRRORED, deeds=[KILL])
    result = outcome(role_of("killed"), mine, KILLED)

    assert (result.problem, result.detect_to_stop_ms, result.stops) == ("", 30.0, 1)
    assert (result.detected, result.stopped, result.acknowledged) == (True, True, True)


@pytest.mark.parametrize(
    ("entries", "deeds", "stored", "words"),
    [
        ([HEARD, at(6 * S)], [KILL], KILLED, "1 calls ran after the stop"),
        ([HEARD, MIRRORED, at(6 * S)], [KILL], KILLED, "1 calls ran after the stop"),
        ([HEARD], [], KILLED, "nobody gave the order"),
        ([HEARD], [Deed("killed", "kills", "TimeoutError: ", S)], KILLED,
         "the order is not on record: TimeoutError: "),
        ([], [KILL], KILLED, "the order did not reach the agent"),
        ([HEARD], [KILL], replace(KILLED, orders=ORDERS[:1]), "its owner did not make the order its own"),
        ([HEARD], [KILL], replace(KILLED, acknowledged={"human-5": 6 * S}), "a stop was not acknowledged"),
    ],
)  # fmt: skip
def test_each_missing_part_of_a_kill_is_named(
    entries: list[Entry], deeds: list[Deed], stored: Stored, words: str
) -> None:
    """A call after the stop counts also where the owner's own order came between."""
    assert problem("killed", account(STILL, *entries, deeds=deeds), stored) == words


def test_a_promotion_must_be_asked_for_and_refused() -> None:
    """A grant is a problem, and so is that nobody asked; the calls elsewhere must be refused anyway."""
    no = Refusal(A, "kb.search", S, S + MS, "environment", forbidden=True)
    known = replace(NOTHING, refusals=[Refused("promotion-refused", A, "environment")])
    asked = Deed("promotion-refused", "promotes", "refused", S)
    got = replace(asked, outcome="granted")
    name = "promotion_refused"

    assert problem(name, account(no, deeds=[asked]), known) == ""
    assert problem(name, account(no), known) == "nobody asked for the promotion"
    assert problem(name, account(no, deeds=[got]), known).endswith("not refused: granted")
    assert problem(name, account(deeds=[asked]), known) == "the gate environment refused nothing"


# -- a version, and an answer ----------------------------------------------------------------------

BUNDLE = f"bundle:demo/failed-canary/{failed_canary.CANARY}"
TRIP = Ordered("c1", BUNDLE, "open", "error_rate", 5 * S, last_emitted_at=5 * S)
BACK = replace(
    NOTHING, orders=[TRIP], acknowledged={"c1": 6 * S},
    signals=[Found("failed-canary", "error_rate", 5 * S, "c1", "i1")],
)  # fmt: skip
TAKEN = Change(5 * S + 40 * MS, BUNDLE, "open", "c1", "error_rate")


@pytest.mark.parametrize(
    ("calls", "words"),
    [
        ([at(5 * S + MS, "b2"), at(6 * S, "b1")], ""),
        ([at(6 * S, "b2"), at(6 * S, "b1")], "1 calls ran after the stop"),
        ([at(4 * S, "b1")], "no other version went on"),
    ],
)
def test_a_canary_that_was_taken_back_runs_no_more(calls: list[Call], words: str) -> None:
    """Only its own calls count, and the stable version must go on."""
    assert problem("failed_canary", account(STILL, TAKEN, *calls), BACK) == words


def test_a_breaker_of_the_whole_agent_is_no_rollback() -> None:
    """Stopping everybody for what the canary did is not what was asked for."""
    wide = replace(TRIP, scope="agent:demo/failed-canary")
    change = msgspec.structs.replace(TAKEN, scope=wide.scope)

    assert problem("failed_canary", account(STILL, change), replace(BACK, orders=[wide])) == (
        "no bundle breaker of error_rate reached the agent"
    )


FALLBACK = msgspec.json.decode(malformed_output.FALLBACK)
GOOD = Told(B, S, '{"answer": "Done."}')
BAD = Told(A, S, FALLBACK, malformed=True, replaced=True)
MARKED = replace(NOTHING, malformed=[("malformed-output", A)])


def test_a_malformed_answer_becomes_the_fallback() -> None:
    """The user got what the file declares, and the event says so; an answer in form stays."""
    result = outcome(role_of("malformed_output"), account(GOOD, BAD), MARKED)

    assert (result.problem, result.stops, result.expected) == ("", 1, "fallback")
    assert (result.detected, result.stopped, result.acknowledged) == (True, True, True)


@pytest.mark.parametrize(
    ("told", "stored", "words"),
    [
        ([Told(A, S, "Sure!", malformed=True)], MARKED, "1 malformed answers reached a user"),
        ([GOOD], NOTHING, "no answer was replaced"),
        ([msgspec.structs.replace(BAD, said="Sorry.")], MARKED,
         "1 answers were replaced by something that the file does not declare"),
        ([BAD, Told(B, S, FALLBACK, replaced=True)], MARKED,
         "1 answers were replaced though they were in form"),
        ([BAD], NOTHING, "1 malformed answers are not on record"),
        ([BAD], replace(MARKED, malformed=[("malformed-output", t) for t in (A, B)]),
         "1 users got no answer at all"),
    ],
)  # fmt: skip
def test_each_wrong_answer_is_named(told: list[Told], stored: Stored, words: str) -> None:
    """One that reached the user, another fallback, a good one spoilt, none at all."""
    assert problem("malformed_output", account(*told), stored) == words

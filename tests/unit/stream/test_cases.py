"""Incidents as regression cases: what a case says of an agent's file, played through the pure cores."""

from math import inf
from typing import Any

import msgspec
import pytest

from ingest.topics import INBOX
from stream.replay.cases import FACTS_MAX, Case, Expected, play, read, smallest
from stream.replay.export import Past
from stream.replay.export import Told as Incident
from tests.pipe import AGENT, START, TENANT, Pipe, Told, file, registered, summaries, trace_id
from tracefuse.errors import ConfigError

CAP: dict[str, Any] = {"owner": {"name": "Payments"}, "budgets": {"run_usd": 10.0}}


def recorded(pipe: Pipe, declared: dict[str, Any], fires: bool = True) -> Case:
    """The last incident of a history as a case, with all facts that the inbox held."""
    signal = summaries(pipe.out)[-1].signal
    log = next(log for (topic, _), log in pipe.logs.items() if topic == INBOX)
    facts = [
        (record.timestamp, msgspec.Raw(line))
        for record in log[1:] if record.value != b"{}" for line in record.value.split(b"\n")
    ]  # fmt: skip
    return Case(
        incident_id="inc-1", label="real" if fires else "false", file=file(**declared), facts=facts,
        expected=Expected(
            detector=signal.detector, action=signal.action, step_id=signal.step_id,
            trace_id=signal.trace_id, at=signal.at, fires=fires, sentence=signal.sentence,
        ),
    )  # fmt: skip


def costly(**declared: Any) -> Pipe:
    """A run that passes a cap of ten dollars with its fourth call."""
    pipe, told = Pipe(), Told(trace_id=trace_id(1))
    pipe.tell(registered(**declared))
    for call in range(4):
        pipe.now += 5.0
        for event in told.call(call, cost_usd=3.0):
            pipe.send(event)
    return pipe


def again(case: Case) -> Case:
    """As it comes out of a file."""
    (found,) = read(msgspec.json.encode(case) + b"\n", "cases.jsonl")
    return found


def test_a_case_holds_until_the_file_forgets_its_cap() -> None:
    """Under its own file the detector fires at the recorded step; without the cap the check fails."""
    case = again(recorded(costly(**CAP), CAP))
    without = play(case, file(owner={"name": "Payments"}))

    assert (case.expected.detector, case.expected.action) == ("cost_cap", "stop-run")
    assert play(case).good
    assert (without.good, "is silent, against what is expected" in without.words) == (False, True)


def test_the_step_matters() -> None:
    """A cap that stops two calls earlier is not what was recorded."""
    case = recorded(costly(**CAP), CAP)
    earlier = play(case, file(owner={"name": "Payments"}, budgets={"run_usd": 5.0}))

    assert not earlier.good


def test_a_false_alarm_must_not_come_back() -> None:
    """What people called false fails as long as the detector fires, and holds once it is declared away."""
    pipe, told = Pipe(), Told()
    declared: dict[str, Any] = {
        "owner": {"name": "Payments"},
        "tools": {"crm.find": {"access": "read"}},
    }
    pipe.tell(registered(**declared))
    for _ in range(4):
        pipe.send(*told.same())
    case = again(recorded(pipe, declared, fires=False))
    polled: dict[str, Any] = {"owner": {"name": "Payments"}, "tools": {"crm.find": {"poll": True}}}

    assert case.expected.detector == "exact_loop"
    assert not play(case).good
    assert play(case, file(**polled)).good


def test_silence_is_found_again() -> None:
    """An alarm about no step: the case plays on until the heartbeats were missed, in the same time."""
    pipe, told = Pipe(), Told()
    pipe.tell(registered(**CAP))
    pipe.send(told("run.start"), *told.call(1))
    pipe.send(told("heartbeat"))
    pipe.wait(6.0)
    case = again(recorded(pipe, CAP))
    short = msgspec.structs.replace(case.expected, at=case.facts[-1][0] + 1.0)

    assert (case.expected.detector, case.expected.step_id) == ("silence", "")
    assert play(case).good
    assert not play(msgspec.structs.replace(case, expected=short)).good


def test_the_shortest_past_that_shows_it_is_taken() -> None:
    """The run alone where that is enough; none where nothing shows it, or all is too long."""
    whole = recorded(costly(**CAP), CAP)
    none = msgspec.structs.replace(whole, facts=whole.facts[:1])
    long = msgspec.structs.replace(whole, facts=whole.facts * FACTS_MAX)

    assert smallest([none, whole, long]) is whole
    assert smallest([none, long]) is None
    assert smallest([msgspec.structs.replace(whole, expected=silent(whole))]) is not None


def silent(case: Case) -> Expected:
    return msgspec.structs.replace(case.expected, fires=False)


@pytest.mark.parametrize(
    ("text", "why"),
    [(b"{}", "1: no case"), (b"\n\nnonsense", "3: no case"), (b"\xff\xfe", "1: no case")],
)
def test_a_file_that_holds_no_cases_says_where(text: bytes, why: str) -> None:
    """The line is named; nothing of it is played."""
    with pytest.raises(ConfigError, match=why):
        read(text, "cases.jsonl")


def test_a_later_version_is_refused() -> None:
    """A case of a format that is not known yet is no pass."""
    case = msgspec.structs.replace(recorded(costly(**CAP), CAP), version=2)

    with pytest.raises(ConfigError, match="version 2"):
        read(msgspec.json.encode(case), "cases.jsonl")


def test_a_case_is_cut_with_the_file_and_the_facts_of_its_moment() -> None:
    """A later version, and what came after the alarm, are not in it; what nothing shows is lost."""
    whole = recorded(costly(**CAP), CAP)
    late = msgspec.structs.replace(whole.expected, step_id="unknown")
    past = Past([incident(whole.expected), incident(late)], known=None)
    past.rule(START, file(**CAP))
    for at, line in whole.facts:
        past.hear(at, trace_id(1), bytes(line))
    past.rule(past_all := whole.expected.at + 1.0, file(owner={"name": "Payments"}))
    past.hear(past_all, trace_id(1), bytes(whole.facts[-1][1]))
    past.cut(inf)
    (case,) = past.cases

    assert (case.file, case.facts) == (file(**CAP), whole.facts)
    assert past.lost == [incident(late)]


def test_the_run_alone_is_the_case_where_it_is_enough() -> None:
    """What other runs did beside it is left out; of an agent without a file no case is made."""
    whole = recorded(costly(**CAP), CAP)
    past, bare = (Past([incident(whole.expected)], known) for known in (file(**CAP), None))
    for each in (past, bare):
        each.hear(whole.facts[0][0], trace_id(2), b"of another run")
        for at, line in whole.facts:
            each.hear(at, trace_id(1), bytes(line))
        each.cut(inf)

    assert [case.facts for case in past.cases] == [whole.facts]
    assert (bare.cases, len(bare.lost)) == ([], 1)


def incident(expected: Expected) -> Incident:
    return Incident("inc-1", TENANT, AGENT, "real", expected)

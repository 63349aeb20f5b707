"""What a probe did beside what was expected; a set that goes wrong alarms; nothing of it is users' work."""

import pickle
from dataclasses import fields
from itertools import count
from typing import Any

import pytest

from ingest.records import Fact, Probed, Run, Signal
from ingest.topics import INBOX
from stream.agent.agent_state import AgentState
from stream.finding.probing import SETS_MAX
from stream.outputs import Output
from tests.pipe import Pipe, Told, commands, found, registered, signals, summaries, trace_id
from tests.unit.stream.test_held_calls import asked, verdicts
from tracefuse.events import Event

_runs = count(1000)
FILE: dict[str, Any] = {
    "owner": {"name": "Payments"},
    "tools": {"crm.find": {}, "crm.pay": {"access": "write", "decision_args": ["amount"]}},
    "bundles": {"stable": {"hash": "b1", "parts": {"prompt": "p1"}}},
}
TWO = ("crm.find", "crm.pay")


def probe(
    tools: tuple[str, ...] = TWO,
    probe_id: str = "small",
    status: str = "ok",
    model: str = "m1",
    digest: str = "d1",
    name: str = "weekly",
    output: str = "",
    bundle: str = "b1",
    call: dict[str, Any] | None = None,
    **expected: Any,
) -> list[Event]:
    """The events of one probe's run."""
    told, mark = Told(trace_id=trace_id(next(_runs))), {"probe": f"{name}/{probe_id}"}
    whole = {"set": name, "id": probe_id, "digest": digest, "tools": TWO, **expected}
    more: dict[str, Any] = {"attrs": mark, "bundle": bundle}
    made = [told("run.start", attrs=mark | {"expected": whole}, bundle=bundle)]
    asks = {"call_id": "m", "model": model, **more}
    made += [told("llm.request", **asks), told("llm.response", status="ok", cost_usd=0.01, **asks)]
    for n, tool in enumerate(tools):
        request, result = told.call(n, tool, **more)
        for part, value in (call or {}).items():
            setattr(request, part, value)
        request.attrs, request.bundle = mark, bundle
        made += [request, result]
    if output:
        made.append(told("output", result_hash=output, **more))
    return [*made, told("run.end", status=status, **more)]


def pipe_with(**more: Any) -> Pipe:
    pipe = Pipe()
    pipe.tell(registered(**(FILE | more)))
    return pipe


def ended(pipe: Pipe) -> Probed:
    """What join says of the one probe that has ended."""
    facts: list[Fact] = found(pipe.facts, INBOX, Fact)
    (fact,) = [one for one in facts if isinstance(one, Run) and one.probed is not None]
    assert fact.probed is not None
    return fact.probed


def told_of(out: list[Output]) -> list[Signal]:
    return [one for one in signals(out) if one.detector == "probe_drift"]


def owner(pipe: Pipe) -> AgentState:
    (detect,) = pipe.detects.values()
    ((_, agent),) = detect.partition.states()
    return agent


@pytest.mark.parametrize(
    ("said", "differences"),
    [
        ({}, []),
        ({"tools": (*TWO, "crm.find")}, []),
        ({"tools": ("crm.find",)}, [("missing", "crm.pay")]),
        ({"tools": ("crm.pay", "crm.find")}, []),
        ({"tools": ("crm.pay", "crm.find"), "in_order": True}, [("order", "crm.pay")]),
        ({"tools": ("crm.pay", *TWO), "in_order": True}, []),
        ({"tools": (*TWO, "mail.send"), "never": ("mail.send",)}, [("forbidden", "mail.send")]),
        ({"never": ("mail.send",)}, []),
        ({"status": "error"}, [("outcome", "error")]),
        ({"status": "error", "outcome": "error"}, []),
        ({"outcome": "error"}, [("outcome", "ok")]),
        ({"args": {"crm.pay": "args-1"}}, []),
        ({"args": {"crm.pay": "args-7"}}, [("arguments", "crm.pay")]),
        ({"decision_args": {"crm.pay": {"amount": 25}}}, [("arguments", "crm.pay")]),
        ({"decision_args": {"crm.pay": {"amount": 25}}, "call": {"decision_args": {"amount": 25.0}}}, []),
        ({"decision_args": {"crm.pay": {"amount": 1}}, "call": {"decision_args": {"amount": True}}},
         [("arguments", "crm.pay")]),
        ({"output": "h1"}, []),
        ({"output": "h1", "expected_answer": "h1"}, []),
        ({"output": "h2", "expected_answer": "h1"}, [("answer", "")]),
        ({"max_calls": 2}, []),
        ({"tools": (*TWO, "crm.find"), "max_calls": 2}, [("calls", "3")]),
        ({"max_usd": 0.02}, []),
        ({"max_usd": 0.005}, [("cost", "0.01")]),
    ],
)  # fmt: skip
def test_what_differs_is_a_fact(said: dict[str, Any], differences: list[tuple[str, str]]) -> None:
    """Each part of an expectation alone, met and not met."""
    answer = said.pop("expected_answer", "")
    events, pipe = probe(**said), pipe_with()
    if answer:
        events[0].attrs["expected"]["output"] = answer
    pipe.send(*events)

    assert ended(pipe).missed == differences


def test_a_refused_call_is_one_that_it_would_have_made() -> None:
    """What the process denied by itself counts once, whether its request was told or not."""
    told = Told(trace_id=trace_id(next(_runs)))
    mark = {"probe": "weekly/small"}
    whole = {"set": "weekly", "id": "small", "digest": "d", "tools": ["crm.pay"], "max_calls": 1}
    pipe = pipe_with()
    pipe.send(
        told("run.start", attrs=mark | {"expected": whole}),
        told("tool.result", call_id="c", tool="crm.pay", status="not_run", attrs=mark),
        told("run.end", status="ok", attrs=mark),
    )

    assert ended(pipe) == Probed("weekly", "small", "d", [])


def test_one_failure_is_noted_three_alarm() -> None:
    """The third in a row is a ticket that names the probes; the owner hears of that one alone."""
    pipe = pipe_with()
    for _ in range(4):
        pipe.send(*probe())
    out = [pipe.send(*probe(tools=("crm.find",))) for _ in range(3)]
    said = [told_of(one)[0] for one in out]

    assert [(one.severity, one.action) for one in said] == [
        ("low", "annotate"), ("low", "annotate"), ("medium", "annotate"),
    ]  # fmt: skip
    assert [len(summaries(one)) for one in out] == [0, 0, 1]
    assert said[0].sentence == (
        "Probe small of weekly went otherwise than expected: crm.pay was not called."
    )
    assert said[2].evidence["probes"] == ["small"]
    assert "3 of 7 probes of weekly went otherwise" in said[2].sentence
    assert all(not commands(one) for one in out)


def test_the_healthy_twin_is_silent() -> None:
    """Two hundred probes as expected, of three kinds."""
    pipe, out = pipe_with(), list[Output]()
    for n in range(200):
        out += pipe.send(*probe(probe_id=f"p{n % 3}"))

    assert signals(out) == []


@pytest.mark.parametrize(("after", "changed"), [("m2", ["model"]), ("m1", [])])
def test_the_alarm_names_the_part_that_changed(after: str, changed: list[str]) -> None:
    """Against the parts with which all went well; where none changed it says that, too."""
    pipe = pipe_with()
    pipe.send(*probe(model="m1"))
    for _ in range(3):
        out = pipe.send(*probe(tools=(), model=after))
    (alarm,) = told_of(out)

    assert alarm.evidence["changed"] == changed
    assert "the time when all went well" in alarm.sentence


def test_another_bundle_is_named() -> None:
    """Also where nobody declared what it is made of."""
    pipe = pipe_with(bundles={})
    pipe.send(*probe(bundle="b1"))
    for _ in range(3):
        out = pipe.send(*probe(tools=(), bundle="b2"))

    assert "All went well with bundle b1; this one is b2." in told_of(out)[0].sentence


def test_a_probe_teaches_nothing() -> None:
    """After sixty probes, half of them with failed calls, the agent knows the set and its costs alone."""
    pipe, idle = pipe_with(), pipe_with()
    for n in range(60):
        events = probe(probe_id=f"p{n % 3}", tools=("crm.find",) * 3)
        for event in events:
            if event.name == "tool.result" and n % 2:
                event.status, event.error_type = "error", "Timeout"
        pipe.send(*events)
    learnt, fresh = owner(pipe), owner(idle) if idle.detects else None
    assert fresh is not None
    apart = {"last", "deadline", "heard", "at", "probes", "day", "alarms", "ledger", "raised",
             "active_until", "models", "rates"}  # fmt: skip
    for field in fields(AgentState):
        if field.name not in apart:
            one, other = getattr(learnt, field.name), getattr(fresh, field.name)
            assert pickle.dumps(one) == pickle.dumps(other), field.name
    assert learnt.tools == {} and learnt.day.spent > 0


def test_failures_of_probes_open_no_breaker_and_take_no_canary_back() -> None:
    """Twenty failed calls stop users' agents; of probes they are the probes' affair."""
    bundles = {"stable": {"hash": "b1"}, "canary": {"hash": "b2", "share": 0.5}}
    pipe, out = pipe_with(bundles=bundles), list[Output]()
    for _ in range(30):
        events = probe(tools=TWO, bundle="b2", status="error", outcome="error")
        for event in events:
            if event.name == "tool.result":
                event.status, event.error_type = "error", "Timeout"
        out += pipe.send(*events)

    assert commands(out) == [] and signals(out) == []


def test_a_probe_may_not_loop() -> None:
    """Rules hold for it as for anybody."""
    pipe, told, out = pipe_with(), Told(), list[Output]()
    mark = {"probe": "weekly/small"}
    pipe.send(told("run.start", attrs=mark))
    for _ in range(4):
        events = told.same()
        for event in events:
            event.attrs = mark
        out += pipe.send(*events)

    assert [one.state for one in commands(out)] == ["open"]


def test_a_held_write_of_a_probe_is_decided_and_denied() -> None:
    """As a shadow's: the reason says what would have become of it; a user's write passes."""
    pipe, told, user = pipe_with(), Told(), Told(trace_id=trace_id(7), boot_id="b2")
    mark = {"probe": "weekly/small"}
    pipe.send(told("run.start", attrs=mark))
    (denied,) = verdicts(pipe.send(asked(told, attrs=mark, bundle="b1")))
    (allowed,) = verdicts(pipe.send(asked(user, bundle="b1")))

    assert (denied.word, denied.gate, allowed.word) == ("deny", "shadow", "allow")
    assert denied.reason == "a probe executes nothing; it would be: allow"


def test_whoever_works_in_a_probes_trace_is_held_too() -> None:
    """The process below does not know; its held write is denied by the trace's own mark."""
    pipe, told, other = pipe_with(), Told(), Told("mailer", boot_id="b9")
    pipe.tell(registered("mailer", **FILE))
    pipe.send(told("run.start", attrs={"probe": "weekly/small"}))
    (verdict,) = verdicts(pipe.send(asked(other, bundle="b1")))

    assert (verdict.word, verdict.gate) == ("deny", "shadow")


def test_another_expectation_begins_anew() -> None:
    """What a changed file asks is another set: old failures are no evidence against it."""
    pipe = pipe_with()
    for _ in range(2):
        pipe.send(*probe(tools=()))
    (said,) = told_of(pipe.send(*probe(tools=(), digest="d2")))

    assert (said.severity, said.evidence["of"]) == ("low", 1)


def test_an_expectation_that_nobody_can_read_judges_nothing() -> None:
    """Its run is kept apart all the same."""
    pipe = pipe_with()
    events = probe(tools=())
    events[0].attrs["expected"] = {"set": "weekly", "tools": "all"}
    out = pipe.send(*events)

    assert signals(out) == [] and owner(pipe).tools == {}


def test_a_run_that_is_a_probe_in_parts_does_no_harm() -> None:
    """Marks are the agent's claims: steps that bear one in a run that bears none end nobody's worker."""
    pipe, told = pipe_with(), Told()
    more: dict[str, Any] = {"attrs": {"probe": "weekly/small"}, "call_id": "m", "model": "m1"}
    pipe.send(told("run.start"), told("llm.request", **more))
    pipe.send(told("llm.response", status="ok", cost_usd=0.01, **more))
    out = pipe.send(told("run.end", status="ok"))

    assert signals(out) == [] and owner(pipe).run_costs == {}


def test_sets_are_bounded_and_a_checkpoint_restores_them() -> None:
    """Names come from the agent: the set that ran longest ago goes; pickled they are the same."""
    pipe = pipe_with()
    for n in range(SETS_MAX + 2):
        for k in range(20):
            pipe.send(*probe(tools=(), name=f"set-{n}", probe_id=f"a-long-name-of-a-probe-{k}"))
    agent = owner(pipe)

    assert list(agent.probes) == [f"set-{n}" for n in range(2, SETS_MAX + 2)]
    size = len(pickle.dumps(agent.probes))
    assert size <= 4096, size
    assert pickle.dumps(pickle.loads(pickle.dumps(agent.probes))) == pickle.dumps(agent.probes)


def test_a_user_run_carries_no_mark() -> None:
    """Nor pays for it: its facts are the same bytes as ever."""
    pipe, told = pipe_with(), Told()
    pipe.send(told("run.start"), *told.call(1), told("run.end", status="ok"))

    assert len(pipe.facts) == 4
    assert all(b"probe" not in line.value for line in pipe.facts)

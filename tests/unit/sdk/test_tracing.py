"""What an agent's author can rely on: which events a run and its calls make."""

import asyncio
import datetime
import decimal
from typing import Any

import pytest

from ingest import codec
from tests.sdk import CREDENTIAL, SIGNER, sdk
from tracefuse.canonical import canonical, keyed_hash
from tracefuse.control import Command, Reason, agent_scope, control_key, encode, run_scope
from tracefuse.errors import CircuitOpen
from tracefuse.events import Event
from tracefuse.events import encode as encode_event
from tracefuse.fuse import Fuse
from tracefuse.sketches import simhash


def hashed(value: object) -> str:
    return keyed_hash(CREDENTIAL.hash_key, canonical(value))


def test_a_run_is_framed_by_its_start_and_end() -> None:
    """All events of a run share its trace, span, task, user and session, in their order."""
    with (
        sdk(environment="prod", bundle="b1") as sent,
        sent.fuse.trace(task="refund", user="u-1", session="s-1") as trace,
    ):
        trace.input("please refund my order")
        trace.thought("It is eligible.", confidence=0.9)
        trace.output("done")

    found = sent.events()
    assert [e.name for e in found] == [
        "run.start", "input.user", "thought", "output", "run.end",
    ]  # fmt: skip
    assert [e.seq for e in found] == [1, 2, 3, 4, 5]
    assert {(e.trace_id, e.span_id) for e in found} == {(trace.trace_id, trace.span_id)}
    assert {(e.task_type, e.user_id, e.session_id) for e in found} == {("refund", "u-1", "s-1")}
    assert {(e.tenant, e.agent_id, e.environment, e.bundle) for e in found} == {
        ("acme", "refunds", "prod", "b1")
    }
    assert found[2].confidence == 0.9
    assert found[-1].status == "ok"
    assert found[-1].duration_us >= 0


def test_a_call_has_a_request_and_a_result_under_one_id() -> None:
    """Both bear the call id, a span of its own below the run's, the tool, hashes of both values."""
    args = {"order": 991, "amount": 25.0}
    with sdk() as sent, sent.fuse.trace() as trace, trace.tool("crm.refund", args) as call:
        assert call.result({"ok": True}) == {"ok": True}

    asked, told = sent.one("tool.request"), sent.one("tool.result")
    assert asked.call_id == told.call_id == call.call_id
    assert asked.span_id == told.span_id == call.span_id != trace.span_id
    assert asked.parent_span_id == told.parent_span_id == trace.span_id
    assert (asked.tool, told.tool, told.status) == ("crm.refund", "crm.refund", "ok")
    assert asked.args_hash == hashed({"amount": 25, "order": 991})
    assert told.result_hash == hashed({"ok": True})


def test_an_exception_is_an_error_and_goes_on() -> None:
    """The result says what kind it was, by a template without the text; the agent gets it as it is."""
    with (
        sdk() as sent,
        pytest.raises(KeyError),
        sent.fuse.trace() as trace,
        trace.tool("crm.get", {"order": 5}),
    ):
        raise KeyError("order 5 of ann@example.com")

    told, end = sent.one("tool.result"), sent.one("run.end")
    assert (told.status, told.error_type) == ("error", "KeyError")
    assert told.sketches["template"]
    assert told.sketches["redacted"] == {"email": 1}
    assert (end.status, end.error_type) == ("error", "KeyError")


def test_a_claim_leaves_as_hashes() -> None:
    """What the agent says it did: the tool, how it ended, hashes as a call's own, how often."""
    args = {"order": 991, "amount": 25.0}
    with sdk() as sent, sent.fuse.trace() as trace:
        with trace.tool("crm.refund", args) as call:
            call.result({"ok": True})
        trace.claim("crm.refund", args=args, result={"ok": True}, call_id=call.call_id)
        trace.claim("mail.send", "failed", times=2)

    asked, told = sent.one("tool.request"), sent.one("tool.result")
    refund, mail = (e for e in sent.events() if e.name == "claim")
    assert (refund.kind, refund.tool, refund.status) == ("cognitive", "crm.refund", "ok")
    assert (refund.args_hash, refund.result_hash) == (asked.args_hash, told.result_hash)
    assert (refund.call_id, refund.attrs) == (call.call_id, {})
    assert (mail.tool, mail.status, mail.attrs) == ("mail.send", "error", {"times": 2})
    assert b"991" not in b"".join(encode_event(e) for e in (refund, mail))


def test_a_run_tells_what_its_process_has_dropped() -> None:
    """Events that will not arrive since the run began: its record may have gaps, and says so."""
    with sdk() as sent:
        sent.fuse.emitter.drop("queue_full", 3)
        with sent.fuse.trace():
            pass
        with sent.fuse.trace() as trace:
            sent.fuse.emitter.drop("queue_full", 2)
            trace.claim("crm.refund")

    first, second = (e for e in sent.events() if e.name == "run.end")
    assert (first.attrs, second.attrs) == ({}, {"lost": 2})
    assert sent.one("claim").attrs == {"lost": 2}


def test_a_failure_without_an_exception_can_be_told() -> None:
    """`error` marks a call that returned a failure as a value."""
    with sdk() as sent, sent.fuse.trace() as trace, trace.tool("crm.get") as call:
        call.error("HTTP 503 from upstream")

    assert (sent.one("tool.result").status, sent.one("tool.result").error_type) == (
        "error",
        "error",
    )


@pytest.mark.parametrize(
    "odd", [None, "many", float("nan"), float("inf"), -float("inf"), 10**30, object()]
)
def test_what_is_no_amount_is_not_told_and_hurts_nobody(odd: Any) -> None:
    """Nothing is raised after the tool has run, and the result can be read at the other end."""
    with sdk() as sent, sent.fuse.trace() as trace:
        trace.thought("so", confidence=odd)
        trace.plan("so", confidence=odd)
        with trace.tool("crm.pay") as call:
            call.usage(input_tokens=odd, output_tokens=7, cost_usd=odd)

    for record in sent.transport.sent:
        assert all(codec.event(line) for line in record.value.split(b"\n"))
    result = sent.one("tool.result")
    assert (result.status, result.input_tokens, result.output_tokens) == ("ok", 0, 7)
    assert result.cost_usd == 0.0
    assert [sent.one(name).confidence for name in ("thought", "plan")] == [None, None]


def test_a_model_call_carries_model_hashes_and_usage() -> None:
    """Prompt and tools are hashed, tokens and cost counted."""
    with (
        sdk() as sent,
        sent.fuse.trace() as trace,
        trace.llm("large-1", prompt=[{"role": "user"}], tools={"a": [1]}) as call,
    ):
        call.result("Refund it.")
        call.usage(input_tokens=12, output_tokens=3, cost_usd=0.5)

    asked, told = sent.one("llm.request"), sent.one("llm.response")
    assert (asked.model, told.model, asked.tool) == ("large-1", "large-1", "")
    assert asked.prompt_hash == hashed([{"role": "user"}])
    assert asked.tools_hash == hashed({"a": [1]})
    assert (told.input_tokens, told.output_tokens, told.cost_usd) == (12, 3, 0.5)
    assert told.sketches["simhash"] == f"{simhash('Refund it.'):016x}"


def test_a_call_tells_the_form_of_its_arguments() -> None:
    """By a keyed hash that other values do not change; nothing of their text."""
    with sdk() as sent, sent.fuse.trace() as trace:
        for args in ({"order": "a-1"}, {"order": "b-2"}, {"order": "a-1", "note": "x"}):
            with trace.tool("crm.get", args):
                pass

    one, other, more = (told.sketches["arguments"] for told in sent.events("tool.request"))
    assert one == other != more
    assert len(one) == 16


def test_values_are_taken_as_they_were() -> None:
    """What the agent changes afterwards in its own objects changes no event."""
    args: dict[str, Any] = {"order": 1, "lines": [1, 2]}
    flat = {"order": 1}
    with sdk() as sent, sent.fuse.trace() as trace, trace.tool("a", args), trace.tool("b", flat):
        args["lines"].append(3)
        args["order"] = flat["order"] = 2

    found = {event.tool: event.args_hash for event in sent.events("tool.request")}
    assert found == {"a": hashed({"order": 1, "lines": [1, 2]}), "b": hashed({"order": 1})}


def test_no_text_leaves() -> None:
    """Neither arguments, results, thoughts, errors nor a user's address are in any line."""
    secret = "kept-to-himself sk-abcdefghijklmnopqrstuvwxyz012345 ann@example.com"
    with sdk() as sent, sent.fuse.trace(task="t", user="ann@example.com") as trace:
        trace.input(secret)
        trace.system(secret)
        trace.context("retrieval", documents=[{"id": "1", "version": "2", "text": secret}])
        trace.plan(secret)
        trace.state(before={"x": secret}, after=secret)
        trace.memory_write(secret, secret)
        trace.handoff("billing")
        with trace.tool("t", {"a": secret}) as call:
            call.result([secret])
            call.error(ValueError(secret))
        trace.output(secret)

    raw = b"".join(envelope.value for envelope in sent.transport.sent)
    for word in (b"himself", b"sk-abc", b"ann@", b"example.com"):
        assert word not in raw
    assert b'"redacted"' in raw
    assert len(sent.events()) == 13


def test_only_declared_arguments_travel_in_clear() -> None:
    """`decision_args` names arguments of a tool; others, and what looks personal, stay."""
    args = {"amount": 25.0, "currency": "EUR", "note": "x", "to": "ann@example.com"}
    with sdk(decision_args={"pay": ["amount", "currency", "to", "missing"]}) as sent:
        trace = sent.fuse.trace()
        with trace, trace.tool("pay", args), trace.tool("other", args):
            pass

    paid, other = sent.events("tool.request")
    assert paid.decision_args == {"amount": 25.0, "currency": "EUR"}
    assert other.decision_args == {}


def test_documents_are_named_by_id_and_version() -> None:
    """A retrieval says which versions were read; an unknown name gets the prefix of own names."""
    with sdk() as sent, sent.fuse.trace() as trace:
        trace.context("retrieval", documents=[{"id": "policy-7", "version": "3", "text": "a b"}])
        trace.context("weather", documents=["rain"])

    read = sent.one("retrieval")
    assert read.attrs == {"documents": [{"id": "policy-7", "version": "3"}]}
    assert sent.one("x.weather").kind == "contextual"


@pytest.mark.parametrize(
    "value",
    [
        object(), {1: 2}, {"x": float("nan")}, "\ud800", "nul \0", b"\xff", 10**40, {1, 2},
        datetime.date(2026, 1, 1), decimal.Decimal("25.00"), [[[]]], None,
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_no_value_breaks_an_agent(value: object) -> None:
    """Whatever is handed over, the run goes on and its events arrive as valid JSON."""
    with sdk() as sent, sent.fuse.trace() as trace:
        trace.input(value)
        trace.thought(value)  # type: ignore[arg-type]
        with trace.tool("t", value) as call:
            call.result(value)

    assert len(sent.events()) == 6
    assert sent.fuse.stats()["dropped"] == {}


def test_an_object_that_fights_back_is_ignored() -> None:
    """Objects whose own methods raise cost a hash, never the agent."""

    class Hostile(dict[str, object]):
        def items(self) -> Any:
            raise RuntimeError("no")

        def __str__(self) -> str:
            raise RuntimeError("no")

    with sdk() as sent, sent.fuse.trace() as trace, trace.tool("t", Hostile()) as call:
        call.error(Hostile())  # type: ignore[arg-type]

    assert sent.one("tool.result").status == "error"


def test_equal_numbers_hash_alike() -> None:
    """25, 25.0 and Decimal('25.00') are one argument to whoever compares calls."""
    with sdk() as sent, sent.fuse.trace() as trace:
        for amount in (25, 25.0, decimal.Decimal("25.00")):
            with trace.tool("t", {"amount": amount, "lines": []}):
                pass

    assert len({event.args_hash for event in sent.events("tool.request")}) == 1


def test_decorated_functions_are_runs_and_calls() -> None:
    """Names, arguments and results as in the block form; the function's own value comes back."""
    with sdk() as sent:
        fuse = sent.fuse

        @fuse.tool("crm.refund")
        def refund(order: int, amount: float = 1.0) -> dict[str, int]:
            return {"order": order}

        @fuse.llm("large-1")
        def think(question: str) -> str:
            return question.upper()

        @fuse.traced(task="refund")
        def work() -> object:
            think("why")
            return refund(7, amount=2.0)

        assert work() == {"order": 7}
        assert refund(8) == {"order": 8}

    asked = sent.events("tool.request")
    assert asked[0].args_hash == hashed({"order": 7, "amount": 2})
    assert sent.one("llm.request").prompt_hash == hashed({"question": "why"})
    assert [e.task_type for e in sent.events("run.start")] == ["refund", "refund"]
    assert asked[0].trace_id != asked[1].trace_id  # a call outside of any run has one of its own


def test_async_agents_have_the_same_forms() -> None:
    """`async with` and decorated coroutines make the same events; tasks keep their own spans."""

    async def agent(fuse: Fuse) -> None:
        @fuse.tool("crm.get")
        async def get(order: int) -> int:
            await asyncio.sleep(0)
            return order

        @fuse.traced()
        async def work() -> list[int]:
            return list(await asyncio.gather(get(1), get(2)))

        assert await work() == [1, 2]
        async with fuse.trace(task="block") as trace, trace.tool("slow") as call:
            call.result(1)

    with sdk() as sent:
        asyncio.run(agent(sent.fuse))

    results: list[Event] = sent.events("tool.result")
    roots = {e.task_type: e.span_id for e in sent.events("run.start")}
    assert {e.parent_span_id for e in results} == {roots["work"], roots["block"]}
    assert sorted(e.result_hash for e in results) == sorted(map(hashed, (1, 2, 1)))


def test_events_within_a_call_belong_to_it() -> None:
    """A thought inside a call bears the call's span, a nested call is its child."""
    with sdk() as sent, sent.fuse.trace() as trace:
        with trace.tool("outer") as outer:
            trace.thought("inside")
            with trace.tool("inner"):
                pass
        trace.thought("outside")

    inside, outside = sent.events("thought")
    assert (inside.span_id, outside.span_id) == (outer.span_id, trace.span_id)
    assert sent.events("tool.request")[1].parent_span_id == outer.span_id


def _stop(fuse: Any, scope: str, epoch: int = 1) -> None:
    order = Command(
        cmd_id="c-1", scope=scope, author="auto", action="open", state="open", epoch=epoch,
        reason=Reason("loop"),
    )  # fmt: skip
    key, payload = control_key(scope, "auto"), encode(order)
    fuse.gate.hear(key, payload, SIGNER.kid, SIGNER.sign(key, payload), now=0)


def test_a_refused_call_does_not_run_and_says_so() -> None:
    """`CircuitOpen` comes before the block; the record has `not_run` and no request."""
    ran = []
    with sdk() as sent, sent.fuse.trace() as trace:
        _stop(sent.fuse, run_scope("acme", "refunds", trace.trace_id))
        with pytest.raises(CircuitOpen) as refusal, trace.tool("crm.refund", {"order": 1}):
            ran.append(1)

    told = sent.one("tool.result")
    assert ran == []
    assert refusal.value.reason == "loop"
    assert sent.events("tool.request") == []
    assert (told.status, told.error_type) == ("not_run", "CircuitOpen")
    assert told.attrs == {"cmd_id": "c-1", "scope": refusal.value.scope}
    assert told.control_seen == {refusal.value.scope: (0, 1)}


def test_a_call_without_a_block_can_ask_too() -> None:
    """`check` answers for calls that are made elsewhere."""
    with sdk() as sent:
        sent.fuse.check("a" * 32, "crm.refund")
        _stop(sent.fuse, agent_scope("acme", "refunds"))
        with pytest.raises(CircuitOpen):
            sent.fuse.check("a" * 32, "crm.refund")

    assert sent.events() == []


def test_a_refused_model_call_is_reported_as_its_response() -> None:
    """The agent's stop binds model calls as well, also where they are awaited."""

    async def agent(fuse: Any) -> None:
        async with fuse.trace() as trace, trace.llm("large-1"):
            raise AssertionError("it must not run")

    with sdk() as sent:
        _stop(sent.fuse, agent_scope("acme", "refunds"))
        with pytest.raises(CircuitOpen):
            asyncio.run(agent(sent.fuse))

    assert sent.one("llm.response").status == "not_run"


def test_calls_that_write_wait_for_the_first_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the first snapshot was read, what is declared to write is denied in the end; reads go."""
    monkeypatch.setattr("tracefuse.calls.SNAPSHOT_SECONDS", 0.0)
    with sdk(access={"pay": "irreversible", "get": "read"}) as sent, sent.fuse.trace() as trace:
        with trace.tool("get"):
            pass
        with pytest.raises(CircuitOpen), trace.tool("pay"):
            pass
        sent.fuse.gate.ready = True
        with trace.tool("pay"):
            pass

    assert [e.status for e in sent.events("tool.result")] == ["ok", "not_run", "ok"]


def test_a_plan_may_name_its_steps() -> None:
    """The tools travel in clear, as those of calls do; the text stays a sketch."""
    with sdk() as sent, sent.fuse.trace() as trace:
        trace.plan("Look, then refund.", confidence=0.5, steps=["crm.find", "crm.refund"])
        trace.plan("Think again.")

    first, second = (e for e in sent.events() if e.name == "plan")
    assert (first.attrs, second.attrs) == ({"steps": ["crm.find", "crm.refund"]}, {})
    assert first.confidence == 0.5
    assert first.sketches["simhash"] == f"{simhash('Look, then refund.'):016x}"

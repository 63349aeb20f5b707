"""What the money and the tokens of an agent's steps tell, through the owner's own record."""

from collections.abc import Iterator
from typing import Any

from ingest.records import Step
from stream.agent_state import MODELS_MAX, AgentState, new_agent
from stream.finding import Finding
from stream.findings import on_complete
from tests.pipe import AGENT, START, TENANT, TRACE, Pipe, Told, signals


def asked(state: AgentState, model: str, usd: float, **more: Any) -> list[Finding]:
    said: dict[str, Any] = {
        "step_id": "s", "phase": "complete", "tenant": TENANT, "agent_id": AGENT, "span_id": "x",
        "trace_id": TRACE, "action": "llm", "model": model, "status": "ok", "at": START,
        "input_tokens": 1000, "output_tokens": 100, "cost_usd": usd,
    }  # fmt: skip
    findings = on_complete(state, Step(**(said | more)))
    return [finding for finding in findings if finding.detector == "price_mismatch"]


def answers(told: Told, n: int, usd: float) -> Iterator[Any]:
    for i in range(n):
        yield told("llm.request", call_id=f"m{told.seq}", model="model-a")
        yield told(
            "llm.response", call_id=f"m{told.seq - 1}", model="model-a", status="ok",
            input_tokens=900 + i % 7 * 100, output_tokens=80 + i % 5 * 10,
            cost_usd=usd * (900 + i % 7 * 100 + 5 * (80 + i % 5 * 10)),
        )  # fmt: skip


def test_a_changed_price_is_annotated() -> None:
    """From the events of a run to a signal that stops nothing; without the change none."""
    pipe, told = Pipe(START), Told()
    quiet = [one for event in answers(told, 200, 3e-6) for one in signals(pipe.send(event))]
    said = [one for event in answers(told, 8, 6.3e-6) for one in signals(pipe.send(event))]

    assert [one.detector for one in quiet if one.detector == "price_mismatch"] == []
    [signal] = [one for one in said if one.detector == "price_mismatch"]
    assert (signal.action, signal.severity, signal.scope) == ("annotate", "medium", "")
    assert "`model-a` cost 2.10 times" in signal.sentence


def test_each_model_has_its_own_price() -> None:
    """One that costs ten times as much is no mismatch beside another."""
    state = new_agent(f"{TENANT}/{AGENT}")
    told = [asked(state, f"model-{i % 2}", (1e-3, 1e-2)[i % 2]) for i in range(600)]

    assert told == [[]] * 600
    assert len(state.prices) == 2


def test_failed_calls_and_calls_without_a_model_have_no_price() -> None:
    """They are billed by half, or by somebody else."""
    state = new_agent(f"{TENANT}/{AGENT}")
    for _ in range(200):
        asked(state, "model-a", 1e-3)
    odd = [asked(state, "model-a", 5e-3, status="error") + asked(state, "", 5e-3) for _ in range(9)]

    assert odd == [[]] * 9
    assert any(asked(state, "model-a", 5e-3) for _ in range(9))


def test_prices_are_kept_of_few_models() -> None:
    """The one used longest ago is forgotten, whoever makes names up."""
    state = new_agent(f"{TENANT}/{AGENT}")
    for i in range(50):
        asked(state, "always", 1e-3)
        asked(state, f"model-{i}", 1e-3)

    assert len(state.prices) == MODELS_MAX
    assert state.prices["always"].n == 50

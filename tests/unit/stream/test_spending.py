"""What the money and the tokens of an agent's steps tell, through the owner's own record."""

from collections.abc import Iterator
from typing import Any

from ingest.records import Signal, Step
from stream.agent.agent_state import MODELS_MAX, TASKS_MAX, AgentState, new_agent
from stream.agent.finding import Finding
from stream.finding.findings import on_complete
from tests.pipe import AGENT, START, TENANT, TRACE, Pipe, Told, registered, signals, trace_id


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


def a_run(
    pipe: Pipe, number: int, usd: float, status: str = "ok", task: str = "refund"
) -> list[Signal]:
    """A run of eight answers, and what is said of it."""
    told = Told(trace_id=trace_id(number))
    events = [told("run.start", task_type=task)]
    for n in range(8):
        events += [
            told("llm.request", call_id=f"m{n}", model="m", task_type=task),
            told(
                "llm.response", call_id=f"m{n}", model="m", status="ok", task_type=task,
                cost_usd=usd * (1 + number % 5 / 10),
            ),
        ]  # fmt: skip
    events.append(told("run.end", status=status))
    said = [one for event in events for one in signals(pipe.send(event))]
    return [one for one in said if one.detector == "run_cost"]


def of_agent(pipe: Pipe) -> AgentState:
    [(_, agent)] = [one for detect in pipe.detects.values() for one in detect.partition.states()]
    return agent


def test_a_dear_run_is_annotated_once() -> None:
    """After 130 finished runs; it says what others had cost by then."""
    pipe = Pipe(START)
    healthy = [said for n in range(150) for said in a_run(pipe, n + 1, 0.001)]
    [signal] = a_run(pipe, 900, 0.05)

    assert healthy == []
    assert (signal.action, signal.severity, signal.scope) == ("annotate", "medium", "")
    assert "runs of `refund` had cost less than $0.0" in signal.sentence
    assert signal.evidence["steps"] <= 2


def test_near_its_cap_a_dear_run_asks_a_person_before_it_writes() -> None:
    """The annotation becomes a step-up; the cap itself still stops the run."""
    pipe = Pipe(START)
    pipe.tell(registered(budgets={"run_usd": 0.30}))
    for n in range(150):
        a_run(pipe, n + 1, 0.001)
    said = a_run(pipe, 900, 0.05)

    assert [(one.action, one.severity) for one in said] == [
        ("annotate", "medium"),
        ("step-up", "high"),
    ]


def test_runs_that_ended_badly_teach_nothing() -> None:
    """Nor does one that is still going on."""
    pipe = Pipe(START)
    for n in range(10):
        a_run(pipe, n + 1, 0.001, status="error")
    bad = of_agent(pipe).run_costs["refund"].n
    a_run(pipe, 99, 0.001)

    assert (bad, of_agent(pipe).run_costs["refund"].n) == (0, 1)


def test_a_run_that_was_refused_teaches_nothing() -> None:
    """What dear runs were held for does not become what runs cost."""
    pipe = Pipe(START)
    a_run(pipe, 1, 0.001)
    told = Told(trace_id=trace_id(2))
    pipe.send(told("run.start", task_type="refund"))
    for event in answers(told, 4, 1e-3):
        pipe.send(event)
    pipe.send(*told.call(9, status="not_run"), told("run.end", status="ok"))

    assert sum(cost.n for cost in of_agent(pipe).run_costs.values()) == 1


def test_tasks_beyond_the_first_share_what_is_usual() -> None:
    """An agent that names each run otherwise costs no more state, and still has a baseline."""
    pipe = Pipe(START)
    for n in range(20):
        a_run(pipe, n + 1, 0.001, task=f"task-{n}")
    costs = of_agent(pipe).run_costs

    assert len(costs) == TASKS_MAX + 1
    assert costs[""].n == 20 - TASKS_MAX


def test_a_context_that_swells_is_annotated() -> None:
    """From the events of a run; one that grows as conversations do is not."""
    pipe, told = Pipe(START), Told()
    sizes = [*range(1000, 4000, 300), 60_000, 61_000, 62_000]
    said = []
    for n, tokens in enumerate(sizes):
        said += signals(pipe.send(
            told("llm.request", call_id=f"m{n}", model="m"),
            told("llm.response", call_id=f"m{n}", model="m", status="ok", input_tokens=tokens),
        ))  # fmt: skip
    found = [one for one in said if one.detector == "context_growth"]

    assert [(one.action, one.evidence["observed"]) for one in found] == [("annotate", 62_000)]

"""What the money and the tokens of a step tell, beside the caps that somebody set. Pure."""

from collections.abc import Iterator

from detectors.run_cost import place
from ingest.records import Run, Step
from stream import sentences
from stream.agent.agent_state import AgentState, RunState
from stream.agent.finding import Finding
from stream.finding.teaching import teaches


def prices(agent: AgentState, step: Step) -> Iterator[Finding]:
    """Whether tokens of this model still cost what they did. A failed call may be billed by half."""
    if not step.model or not step.cost_usd or step.status == "error":
        return
    price = agent.price(step.model)
    price.update(step.cost_usd, step.input_tokens, step.output_tokens)
    if price.fires:
        evidence = price.evidence() | {"model": step.model}
        yield Finding("price_mismatch", sentences.price_mismatch(step.model, evidence), evidence)


def of_run(agent: AgentState, step: Step) -> Iterator[Finding]:
    """Whether the run grows beyond what a conversation does, or costs more than others had by now."""
    run = agent.run(step.trace_id)
    run.task = run.task or step.task_type
    if step.action == "llm":
        run.growth.update(step.input_tokens + step.output_tokens)
        if run.growth.fires:
            evidence = run.growth.evidence()
            yield Finding("context_growth", sentences.context_growth(evidence), evidence)
    run.done += 1
    at = place(run.done)
    if at == len(run.spent):
        run.spent.append(0.0)
    run.spent[at] = spent = run.cost.spent
    if not spent:
        return
    cost = agent.run_cost(run.task)
    cost.update(run.spent, of_cap=run.cost.score)
    said = run.signals.get("run_cost")
    if (cost.fires and said != "step-up") or (cost.warns and not said):
        evidence = cost.evidence() | {
            "steps": run.done, "task": run.task, "of_cap": run.cost.score if cost.fires else 0.0,
        }  # fmt: skip
        words = sentences.run_cost(run.task, evidence)
        yield Finding("run_cost", words, evidence, warning=not cost.fires)


def run_ended(agent: AgentState, run: RunState, fact: Run) -> None:
    """What a run has cost; one that was stopped or refused, or is only a shadow, teaches nothing."""
    if not teaches(run, fact) or run.shadow_of:
        return
    if run.spent and run.cost.spent:  # of a probe's steps only the cap is asked
        agent.run_cost(run.task).update(run.spent, over=True)

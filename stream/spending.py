"""What the money and the tokens of a step tell, beside the caps that somebody set. Pure."""

from collections.abc import Iterator

from ingest.records import Step
from stream import sentences
from stream.agent_state import AgentState
from stream.finding import Finding


def prices(agent: AgentState, step: Step) -> Iterator[Finding]:
    """Whether tokens of this model still cost what they did. A failed call may be billed by half."""
    if not step.model or not step.cost_usd or step.status == "error":
        return
    price = agent.price(step.model)
    price.update(step.cost_usd, step.input_tokens, step.output_tokens)
    if price.fires:
        evidence = price.evidence() | {"model": step.model}
        yield Finding("price_mismatch", sentences.price_mismatch(step.model, evidence), evidence)

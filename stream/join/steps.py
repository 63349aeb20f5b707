"""A step, filled by the events that tell of it: what either says, what the request, what the result. Pure."""

from ingest.records import Step
from tracefuse.events import Event

ACTIONS = {
    "tool.request": "tool", "tool.result": "tool", "llm.request": "llm", "llm.response": "llm",
    "handoff": "handoff", "memory.read": "memory.read", "memory.write": "memory.write",
}  # fmt: skip


def producer(event: Event) -> str:
    """Name of the process that tells: an agent's order of events is that of one process."""
    return f"{event.agent_id}/{event.boot_id}"


def id_of(event: Event) -> str:
    """Id of the step that an event is about, the same for request and result."""
    return f"{event.trace_id[16:]}{event.call_id or event.span_id}"


def of(event: Event, phase: str, spooled: bool, now: float) -> Step:
    """The parts of a step that either of its events can tell."""
    return Step(
        step_id=id_of(event), phase=phase,  # type: ignore[arg-type]
        tenant=event.tenant, agent_id=event.agent_id, trace_id=event.trace_id,
        span_id=event.span_id, parent_span_id=event.parent_span_id, call_id=event.call_id,
        environment=event.environment, bundle=event.bundle, user_id=event.user_id,
        session_id=event.session_id, task_type=event.task_type, action=ACTIONS[event.name],
        tool=event.tool, model=event.model, at=now, spooled=spooled,
    )  # fmt: skip


def ask(step: Step, event: Event) -> None:
    """What the request says; it wins over the result where both tell."""
    step.request_id, step.requested_at = event.event_id, event.emitted_at
    step.args_hash = event.args_hash or step.args_hash
    step.decision_args = event.decision_args
    step.span_id, step.parent_span_id = event.span_id, event.parent_span_id
    step.tool, step.model = event.tool or step.tool, event.model or step.model
    step.environment, step.bundle = event.environment, event.bundle or step.bundle
    step.user_id = event.user_id or step.user_id
    step.session_id = event.session_id or step.session_id
    step.task_type = event.task_type or step.task_type
    if event.confidence is not None:
        step.confidence = event.confidence


def answer(step: Step, event: Event) -> None:
    """What the result says."""
    step.result_id, step.completed_at = event.event_id, event.emitted_at
    step.status = event.status or "ok"
    step.error_type, step.duration_us = event.error_type, event.duration_us
    step.input_tokens, step.output_tokens = event.input_tokens, event.output_tokens
    step.cost_usd, step.result_hash = event.cost_usd, event.result_hash
    step.verdict_seen = event.verdict_seen
    step.args_hash = step.args_hash or event.args_hash
    step.tool, step.model = step.tool or event.tool, step.model or event.model
    step.bundle, step.user_id = step.bundle or event.bundle, step.user_id or event.user_id
    step.session_id = step.session_id or event.session_id
    step.task_type = step.task_type or event.task_type
    if step.confidence is None:
        step.confidence = event.confidence


def forget(step: Step) -> None:
    """Take out what one record alone tells, before the step is kept to be written again."""
    step.run = step.loop = step.held = step.provenance = None
    step.planned, step.claims, step.lost = None, [], 0
    step.stale, step.crew, step.agents = False, None, 0
    step.form, step.template, step.hindered = None, "", ""
    step.heard, step.used = [], []

"""What a tool returned: whether it has its declared form, and whether it ever answered so. Pure.

    SDK: schema of the file ──► sketches.form    masked error, fields and types ──► sketches.template
    join: both on the step, once                 detect: held against the tool's own past

Neither holds a word of the result: names of fields are the declaration's, kinds are keyed hashes.
"""

from collections.abc import Iterator
from typing import Any

from detectors import MalformedResult, NewTemplate
from ingest.records import Step
from stream import sentences
from stream.agent.agent_state import ToolState
from stream.agent.finding import Finding


def malformed(tool: ToolState, step: Step) -> Iterator[Finding]:
    """Results without their form, where one is declared."""
    if step.form is None:
        return
    results = tool.results = tool.results or MalformedResult()
    results.update(bool(step.form.wrong), step.form.wrong, step.form.field, step.result_hash)
    if results.fires:
        evidence = results.evidence()
        yield Finding("malformed_result", sentences.malformed_result(step.tool, evidence), evidence)


def unlike(tool: ToolState, step: Step) -> Iterator[Finding]:
    """Answers of a kind that the tool has never given, and that come again."""
    if not step.template:
        return
    kinds = tool.templates = tool.templates or NewTemplate()
    kinds.update(step.template)
    if kinds.fires:
        evidence = kinds.evidence() | {"template": step.template, "error": step.error_type}
        yield Finding("new_template", sentences.new_template(step.tool, evidence), evidence)


def news(tool: ToolState, step: Step) -> dict[str, Any]:
    """What stands beside a finding about failures where the newest one is of a new kind."""
    if tool.templates is None or not tool.templates.fresh or not step.template:
        return {}
    return {"new_kind": step.error_type, "template": step.template}

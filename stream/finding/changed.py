"""Which part of a bundle changed, when a version is found worse: model, prompt, tools, code, memory. Pure.

What a bundle is made of its owner declares in the agent's file (`parts`); which models it calls is seen too.
A part that changed stands beside the alarm; whether it is the reason nobody has tested.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import get_args

from detectors import CATALOGUE
from ingest.agent_file import Part
from ingest.records import Run, Step
from stream import sentences
from stream.agent.agent_state import BUNDLE_MODELS_MAX, BUNDLES_MAX, AgentState
from stream.agent.finding import Finding

PARTS: tuple[Part, ...] = get_args(Part)
Parts = Mapping[str, tuple[str, ...]]
"""By part, its name or hash; several where several models are called."""


def called(agent: AgentState, step: Step) -> None:
    """A model was called: which ones a bundle uses is known from its calls."""
    known = agent.models.get(step.bundle, ())
    if step.model in known or not step.model:
        return
    if step.bundle not in agent.models and len(agent.models) >= BUNDLES_MAX:
        del agent.models[next(iter(agent.models))]
    agent.models[step.bundle] = (*known, step.model)[-BUNDLE_MODELS_MAX:]


def parts(agent: AgentState, bundle: str) -> dict[str, tuple[str, ...]]:
    """What is known of a bundle; what its owner declared goes first."""
    seen, found = agent.models.get(bundle, ()), dict[str, tuple[str, ...]]()
    if seen:
        found["model"] = seen
    for one in agent.file.bundles.values():
        if one.hash == bundle:
            found |= {part: (name,) for part, name in one.parts.items()}
    return found


def between(old: Parts, new: Parts) -> list[str] | None:
    """Parts that changed, in the order of `PARTS`; None where nothing is known of both.

    A model counts as changed where the new one calls what the old one did not.

    >>> between({"model": ("m1",), "prompt": ("p1",)}, {"model": ("m2",), "prompt": ("p1",)})
    ['model']
    >>> between({}, {"model": ("m2",)}) is None
    True
    """
    both = [part for part in PARTS if part in old and part in new]
    return [part for part in both if set(new[part]) - set(old[part])] if both else None


def freeze(agent: AgentState, bundle: str) -> None:
    """The reference of slow drift is frozen: what the agent is made of now is what drift is told against."""
    agent.reference = parts(agent, bundle)


def named(agent: AgentState, step: Step | Run, finding: Finding) -> Finding:
    """A finding about a version, and what changed; others as they are."""
    if "changed" in finding.evidence:
        return finding  # it knows what to compare with
    if finding.bundle:
        stable = agent.file.bundles.get("stable")
        old = parts(agent, stable.hash) if stable is not None else {}
        new, against = parts(agent, finding.bundle), "the stable bundle"
    elif CATALOGUE[finding.detector].evidence_class == "version":
        bundle = step.bundle if isinstance(step, Step) else ""
        old, new, against = agent.reference, parts(agent, bundle), "its reference"
    else:
        return finding
    changed = between(old, new)
    if changed is None:
        return finding
    words = f"{finding.sentence} {sentences.changed(changed, against)}"
    return replace(finding, sentence=words, evidence=finding.evidence | {"changed": changed})

"""When a version is found worse, its alarm names the parts of the bundle that changed."""

import pickle
from typing import Any

import pytest

from ingest.agent_file import AgentFile, Bundle
from ingest.records import Signal, Step
from stream.agent.agent_state import BUNDLE_MODELS_MAX, BUNDLES_MAX, AgentState, new_agent
from stream.agent.finding import Finding
from stream.agent.unpickle import loads
from stream.finding import changed
from stream.finding.changed import between
from stream.outputs import Output
from stream.people.rollout import rolled_back, rolled_out
from tests.pipe import Pipe, Told, registered, signals
from tests.unit.stream.test_canary import SCOPE, run
from tests.unit.stream.test_shadow import pair

OLD = {"model": "m1", "prompt": "p1", "code": "c1"}
NEW = {"model": "m1", "prompt": "p2", "code": "c2"}


def fleet(old: dict[str, str], new: dict[str, str]) -> Pipe:
    pipe = Pipe()
    canary = {"hash": "b2", "parts": new, "share": 0.5}
    bundles = {"stable": {"hash": "b1", "parts": old}, "canary": canary}
    pipe.tell(registered(owner={"name": "Payments"}, bundles=bundles))
    return pipe


def failed(pipe: Pipe) -> Signal:
    """The canary's calls fail, and it is taken back."""
    (signal,) = [s for s in signals(run(pipe, 1, "b2", 20 * "f")) if s.scope == SCOPE]
    return signal


def llm(told: Told, n: int, model: str, bundle: str = "", status: str = "ok") -> list[Any]:
    asked = {"call_id": f"llm-{n}", "model": model, "bundle": bundle}
    return [told("llm.request", **asked), told("llm.response", **asked, status=status)]


def test_a_failed_canary_says_what_changed() -> None:
    """Declared parts that differ from those of the stable bundle, in evidence and words."""
    signal = failed(fleet(OLD, NEW))

    assert signal.evidence["changed"] == ["prompt", "code"]
    assert signal.sentence.endswith("Changed against the stable bundle: prompt, code.")


def test_a_canary_of_equal_parts_says_so() -> None:
    """Then something else is worse; a part of which only one side tells is not called changed."""
    signal = failed(fleet(OLD, {"model": "m1", "memory": "n9"}))

    assert signal.evidence["changed"] == []
    assert "No known part changed" in signal.sentence


def test_without_declared_parts_nothing_is_claimed() -> None:
    """Control: the same failure of bundles of which nothing is known."""
    signal = failed(fleet({}, {}))

    assert "changed" not in signal.evidence
    assert "hanged against" not in signal.sentence


def test_a_model_is_seen_where_nobody_declared_it() -> None:
    """Calls of models tell which ones each bundle uses; what is declared goes first."""
    pipe = fleet({}, {})
    for number, (bundle, model) in enumerate((("b1", "m1"), ("b2", "m2"))):
        pipe.send(
            *llm(Told(trace_id=f"{number + 90:032x}", boot_id=f"x{number}"), 0, model, bundle)
        )

    assert failed(pipe).evidence["changed"] == ["model"]


def test_a_worse_shadow_says_what_changed() -> None:
    """Pairs of runs, the shadow's bad: the same words as of a canary."""
    pipe, found = Pipe(), list[Output]()
    bundles = {"stable": {"hash": "b1", "parts": OLD}, "shadow": {"hash": "b3", "parts": NEW}}
    pipe.tell(registered(owner={"name": "Payments"}, bundles=bundles))
    for n in range(20):
        found += pair(pipe, n, shadow_bad=True)
    told = [s for s in signals(found) if s.detector == "shadow_pair"]

    assert [s.evidence["changed"] for s in told] == [["prompt", "code"]]


def drifted(before: str, after: str) -> Signal:
    """An agent's failures double under another model, or under the same."""
    pipe, told, out = Pipe(), Told(), list[Output]()
    for n in range(1400):
        late = n >= 700
        bad = n % 5 == 0 if late else n % 40 == 0
        out += pipe.send(*llm(told, n, after if late else before, status="error" if bad else "ok"))
    return next(s for s in signals(out) if s.detector == "slow_drift")


def test_drift_after_a_change_of_model_names_it() -> None:
    """Against what the agent was made of when its reference was frozen; without a bundle even."""
    other, same = drifted("m1", "m2"), drifted("m1", "m1")

    assert other.evidence["changed"] == ["model"]
    assert other.sentence.endswith("Changed against its reference: model.")
    assert same.evidence["changed"] == []


def test_other_findings_stay_as_they_are() -> None:
    """A loop is no word on a version."""
    agent, finding = new_agent("acme/refunds"), Finding("exact_loop", "Again.", {"threshold": 4})

    assert changed.named(agent, step("m1"), finding) is finding


def step(model: str, bundle: str = "") -> Step:
    return Step(
        step_id="s", phase="complete", tenant="acme", agent_id="refunds", trace_id="t", span_id="s",
        action="llm", model=model, bundle=bundle,
    )  # fmt: skip


def test_what_is_remembered_is_bounded() -> None:
    """Bundles, models of each; and it comes back from a checkpoint."""
    agent = new_agent("acme/refunds")
    for n in range(BUNDLES_MAX + 3):
        for model in range(BUNDLE_MODELS_MAX + 3):
            changed.called(agent, step(f"m{model}", f"b{n}"))
    changed.freeze(agent, f"b{BUNDLES_MAX}")
    again: AgentState = loads(pickle.dumps(agent))

    assert len(agent.models) == BUNDLES_MAX
    assert {len(models) for models in agent.models.values()} == {BUNDLE_MODELS_MAX}
    assert (again.models, again.reference) == (agent.models, agent.reference)
    assert again.reference["model"][-1] == f"m{BUNDLE_MODELS_MAX + 2}"


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ({}, {"code": ("c",)}, None),
        ({"code": ("c",)}, {"code": ("c",)}, []),
        ({"model": ("a", "b")}, {"model": ("a",)}, []),
        (
            {"memory": ("x",), "model": ("a",)},
            {"memory": ("y",), "model": ("b",)},
            ["model", "memory"],
        ),
    ],
)
def test_parts_are_compared(old: Any, new: Any, found: list[str] | None) -> None:
    """Only what both tell; a model that the new one does not call is none that it changed to."""
    assert between(old, new) == found


def test_a_roll_out_keeps_the_parts() -> None:
    """Through its stages, to all, and back to the bundle before with what that was made of."""
    agent = AgentFile("refunds", bundles={"stable": Bundle("b1", parts={"model": "m1"})})
    begun = rolled_out(agent, "b2", 0.05, {"model": "m2"})
    done = rolled_out(rolled_out(begun, "b2", 0.25), "b2", 1.0)

    assert begun.bundles["stable"].parts == {"model": "m1"}
    assert done.bundles["stable"].parts == {"model": "m2"}
    assert rolled_back(begun).bundles == agent.bundles
    assert rolled_back(done).bundles == agent.bundles

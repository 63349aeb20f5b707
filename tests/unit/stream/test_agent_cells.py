"""What a checkpoint holds of an agent comes back exactly, and outlives an upgrade."""

import pickle
from collections import deque
from dataclasses import fields, is_dataclass
from typing import Any

import pytest
from river import stats

from detectors import Detector, LatencyBaseline, step_vector
from stream.agent.agent_cells import Cells, upgraded
from stream.agent.agent_state import AgentState, new_agent
from stream.agent.breaker import Breaker, Forced, State, step
from stream.agent.budgets import Amount
from tests.unit.stream.test_unpickle import lived

OLD, NEW = "0" * 16, "f" * 16


def parts(value: Any) -> Any:
    """A state as plain values, however deep: two states with the same parts decide alike."""
    if isinstance(value, dict):
        return {key: parts(one) for key, one in value.items()}
    if isinstance(value, list | tuple | deque):
        return [parts(one) for one in value]
    known = getattr(value, "__dict__", None)
    if known is None and type(value).__module__.split(".")[0] in {"stream", "detectors", "river"}:
        known = {name: getattr(value, name) for name in getattr(type(value), "__slots__", ())}
    return value if known is None else {"": type(value).__name__, **parts(known)}


@pytest.mark.parametrize("reader", [OLD, NEW])
def test_a_state_comes_back_exactly(reader: str) -> None:
    """Also for another build, as long as nothing has changed: nothing learns anew for no reason."""
    agent = lived()
    told = parts(agent)

    assert parts(Cells(reader).load(Cells(OLD).dump(agent))) == told
    assert len(str(told)) > 5_000  # it has seen something


def older(agent: AgentState) -> AgentState:
    """As a build wrote it that had fewer things to remember."""
    del agent.drift, agent.sampled
    for tool in agent.tools.values():
        del tool.usual_latency
        del vars(tool.errors)["consecutive"]
    return agent


def test_what_a_build_has_added_begins_fresh() -> None:
    """Every field is there after an upgrade; who lacks one would end the worker at its next use."""
    loaded = Cells(NEW).load(Cells(OLD).dump(older(lived())))

    assert list(missing(loaded)) == []
    assert loaded.sampled == {}
    assert {tool.usual_latency.n for tool in loaded.tools.values()} == {0}


def test_without_the_upgrade_fields_are_missing() -> None:
    """The control: read by the build that calls itself the writer, the state stays as it was written."""
    loaded = Cells(OLD).load(Cells(OLD).dump(older(lived())))

    assert {"drift", "sampled", "usual_latency"} <= set(missing(loaded))


def missing(value: Any) -> Any:
    """Names of the fields that a state lacks, however deep."""
    if isinstance(value, dict):
        for one in value.values():
            yield from missing(one)
    elif is_dataclass(value):
        for field in fields(value):
            if hasattr(value, field.name):
                yield from missing(getattr(value, field.name))
            else:
                yield field.name


def test_a_detector_with_other_insides_learns_anew() -> None:
    """The one that has changed begins again with its parameters; its neighbours go on."""
    agent = lived()
    tool = next(iter(agent.tools.values()))
    tool.usual_latency = LatencyBaseline(quiet=7)
    seen = tool.latency.n
    vars(tool.usual_latency)["gone_since"] = 1
    loaded = Cells(NEW).load(Cells(OLD).dump(agent))
    again = next(iter(loaded.tools.values()))

    assert seen > 0
    assert again.latency.n == seen
    assert (again.usual_latency.n, again.usual_latency.quiet) == (0, 7)
    assert "gone_since" not in vars(again.usual_latency)


def test_features_of_steps_kept_as_before_are_read_and_learnt_anew() -> None:
    """A checkpoint of a build that kept river's estimators must end no worker, nor leave half a state."""
    agent = lived()
    vector = next(iter(agent.vectors.values()))
    feature = step_vector._Feature()
    feature.n, feature.mean, feature.variance = 300, stats.EWMean(0.01), stats.EWVar(0.01)
    del vars(vector)["_usual_of"]
    vars(vector)["_features"] = {"duration": feature}
    loaded = Cells(NEW).load(Cells(OLD).dump(agent))
    again = next(iter(loaded.vectors.values()))

    assert vector.n > 0
    assert (again.n, again.update({"duration": 1.0})) == (0, 0.0)


def test_a_stop_and_what_was_spent_outlive_an_upgrade() -> None:
    """Whoever was stopped stays stopped, and a budget is not given out twice."""
    agent = older(lived())
    agent.breaker = step(agent.breaker, Forced(open=True), 5.0, 1)
    agent.ledger.day.add(Amount(1_000_000, 7), 5.0)
    spent = agent.ledger.day.at(5.0)
    loaded = Cells(NEW).load(Cells(OLD).dump(agent))

    assert loaded.breaker == agent.breaker
    assert loaded.breaker.state is State.FORCED_OPEN
    assert loaded.ledger.day.at(5.0) == spent
    assert loaded.file == agent.file


def test_a_breaker_is_kept_by_name() -> None:
    """A field that a later build puts in between changes nothing of what was written before."""
    reduced: Any = Breaker("agent:t/a", epoch=3, trips=2).__reduce_ex__(4)
    again = object.__new__(Breaker)
    again.__setstate__({"new": 1, **reduced[2]})  # type: ignore[attr-defined]

    assert again == Breaker("agent:t/a", epoch=3, trips=2)


def test_a_file_is_kept_by_name() -> None:
    """pickle would keep the file's fields by place, and a later build has others in between."""
    agent = new_agent("t/a")
    known = agent.__getstate__()[1]

    assert isinstance(known["file"], bytes)
    assert pickle.loads(pickle.dumps(agent)).file == agent.file


@pytest.mark.parametrize("value", [None, 3, "x", (1, 2), b""])
def test_plain_values_stay(value: object) -> None:
    """Only what has parts of ours can be of another shape."""
    assert upgraded(value) is value


def test_all_that_is_remembered_is_looked_at() -> None:
    """No object of a state hides detectors or dataclasses where an upgrade would not find them."""
    for one in objects(lived()):
        kind = type(one)
        ours = kind.__module__.split(".")[0] in {"stream", "ingest"}
        assert not ours or is_dataclass(one) or hasattr(kind, "__struct_fields__") or issubclass(
            kind, tuple | str | State
        ), kind  # fmt: skip


def objects(value: Any) -> Any:
    """Everything in a state but what detectors hold."""
    yield value
    if isinstance(value, Detector):
        return
    if isinstance(value, dict):
        for one in value.values():
            yield from objects(one)
    elif isinstance(value, list | tuple | set):
        for one in value:
            yield from objects(one)
    elif is_dataclass(value):
        for field in fields(value):
            yield from objects(getattr(value, field.name))

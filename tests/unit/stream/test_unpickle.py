"""Only our own classes and river's come out of a checkpoint; nothing in one can act."""

import array
import collections
import importlib
import io
import os
import pickle
import pickletools
import pkgutil
from typing import Any

import pytest

from detectors import DETECTORS
from stream.agent.breaker import State
from stream.agent.unpickle import _Unpickler, loads
from tests.pipe import AGENT, TENANT, Pipe, Told, registered
from tracefuse import wire


class Call:
    """Pickles as a call of what a worker must never call."""

    def __init__(self, target: Any, *arguments: Any):
        self.target, self.arguments = target, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.target, self.arguments


def named(module: str, name: str) -> bytes:
    """A pickle that asks for a global by its name, whatever that is."""
    text = b"\x80\x04" + b"".join(
        b"\x8c" + bytes([len(part)]) + part.encode() for part in (module, name)
    )
    return text + b"\x93."


def lived() -> Any:
    """The state of an agent after a thousand calls of three tools."""
    pipe, told = Pipe(), Told()
    pipe.tell(registered(limits={"write": {"per_minute": 10**6}}, budgets={"run_usd": 100}))
    pipe.send(told("run.start"), told("heartbeat"))
    for n in range(1000):
        pipe.send(*told.call(n, tool=f"tool-{n % 3}", cost_usd=0.001, input_tokens=n,
                             status="error" if n % 40 == 0 else "ok"))  # fmt: skip
        pipe.now += 0.4
    key = wire.agent_key(TENANT, AGENT)
    return pipe.detects[wire.partition_of(key)].partition.get(key)


def test_an_agent_that_has_lived_comes_back() -> None:
    """Every detector, breaker and file; and what comes back goes on alike."""
    state = lived()
    again = loads(pickle.dumps(state))

    assert again.file == state.file
    assert list(again.breakers()) == list(state.breakers())
    assert again.tools["tool-1"].errors.evidence() == state.tools["tool-1"].errors.evidence()
    for features in ({"cost": 1.0, "tokens": 2.0}, {"cost": 9.0, "tokens": 0.0}):
        assert again.vector("tool").update(features) == state.vector("tool").update(features)
    assert pickle.dumps(loads(pickle.dumps(again))) == pickle.dumps(again)


@pytest.mark.parametrize("name", sorted(DETECTORS))
@pytest.mark.parametrize("protocol", range(3, pickle.HIGHEST_PROTOCOL + 1))
def test_every_detector_comes_back(name: str, protocol: int) -> None:
    """In every protocol that Python may choose one day."""
    detector = DETECTORS[name]()

    assert type(loads(pickle.dumps(detector, protocol))) is DETECTORS[name]


@pytest.mark.parametrize("module", ["agent_state", "agreements", "breaker", "budgets"])
def test_what_a_checkpoint_names_at_its_earlier_place_comes_back(module: str) -> None:
    """Else a worker of this build could not go on from a checkpoint of the one before."""
    now = importlib.import_module(f"stream.agent.{module}")
    classes = [one for one in vars(now).values() if isinstance(one, type)]
    ours = [one for one in classes if one.__module__ == now.__name__]

    assert ours
    for one in ours:
        assert loads(named(f"stream.{module}", one.__name__)) is one


@pytest.mark.parametrize("state", State)
def test_a_breakers_state_is_written_alike_by_every_python(state: State) -> None:
    """By its value; early Pythons of 3.11 would name `getattr`, and nobody could load it again."""
    written = pickle.dumps(state)

    assert b"getattr" not in written
    assert loads(written) is state


def test_plain_containers_come_back() -> None:
    """What detectors are made of."""
    plain = [
        {"a": (1, 2.5, None, True, b"x")}, {1, 2}, frozenset({3}), collections.deque([1], maxlen=3),
        array.array("I", [1, 2]), collections.OrderedDict(a=1), collections.Counter("aab"),
    ]  # fmt: skip

    assert loads(pickle.dumps(plain)) == plain


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"), ("posix", "system"), ("subprocess", "Popen"), ("builtins", "eval"),
        ("builtins", "exec"), ("builtins", "getattr"), ("builtins", "open"), ("builtins", "__import__"),
        ("importlib", "import_module"), ("operator", "attrgetter"), ("functools", "partial"),
        ("collections", "namedtuple"), ("collections", "_sys"), ("collections", "abc"),
        ("detectors.base", "insort"), ("detectors", "step_features"),
        ("stream.agent.agent_state", "field"), ("stream.breaker", "replace"),
        ("ingest.agent_file", "hashlib"), ("ingest.agent_file", "datetime"),
        ("ingest.agent_file", "Tokens"), ("river.datasets.base", "shutil"), ("river.utils.pretty", "print"),
        ("copyreg", "add_extension"), ("copyreg", "pickle"), ("pickle", "loads"), ("array", "__loader__"),
        ("stream.detect.detect", "Detect"), ("river.stats", "os.system"), ("os.path", "os.system"),
        ("detectors.base", "base.Base"), ("detectorsevil", "x"), ("river", "stats"),
    ],
)  # fmt: skip
def test_what_is_not_ours_is_refused(module: str, name: str) -> None:
    """By name, imported by one of our modules, or through a dot: nothing that could act."""
    with pytest.raises((pickle.UnpicklingError, AttributeError, ModuleNotFoundError)):
        loads(named(module, name))


@pytest.mark.parametrize(
    "bad",
    [
        Call(os.system, "true"), Call(eval, "1"), Call(print, "x"), Call(os.getcwd),
        {"deep": [(Call(os.listdir, "."),)]},
    ],
)  # fmt: skip
def test_nothing_in_a_checkpoint_can_act(bad: Any) -> None:
    """Wherever in a state it hides."""
    with pytest.raises(pickle.UnpicklingError, match="may not be loaded"):
        loads(pickle.dumps(bad))


def test_without_the_lock_it_would_act(monkeypatch: pytest.MonkeyPatch) -> None:
    """Control: the same bytes, and Python's own reader."""
    done: list[str] = []
    monkeypatch.setattr(os, "getcwd", lambda: done.append("acted"))
    monkeypatch.setattr(_Unpickler, "find_class", pickle.Unpickler.find_class)
    loads(named("os", "getcwd")[:-1] + b")R.")

    assert done == ["acted"]


def test_whatever_comes_out_by_name_is_a_class() -> None:
    """All of river and of our own: no function, no module, nothing that was only imported there."""
    reader = _Unpickler(io.BytesIO())
    asked = let = 0
    for module in _modules():
        for name in vars(importlib.import_module(module)):
            asked += 1
            try:
                found = reader.find_class(module, name)
            except pickle.UnpicklingError:
                continue
            let += 1
            assert isinstance(found, type)
            assert found.__module__ == module

    assert asked > 1000
    assert 50 < let < asked / 2


def _modules() -> list[str]:
    """Modules of river's that its detectors may use, and our own."""
    families = ("river.stats", "river.drift", "river.base", "river.utils")
    names = [
        "detectors.base",
        "detectors.step_vector",
        "stream.agent.agent_state",
        "stream.agent.breaker",
    ]
    for family in families:
        package = importlib.import_module(family)
        found = pkgutil.walk_packages(package.__path__, f"{family}.")
        names += [family, *(m.name for m in found if "test" not in m.name)]
    return names


@pytest.mark.parametrize("cut", [0, 1, 10, -1])
def test_a_torn_state_is_no_state(cut: int) -> None:
    """Damage ends in an error that the operator sees, not in half a state."""
    whole = pickle.dumps(DETECTORS["error_rate"]())

    with pytest.raises((pickle.UnpicklingError, EOFError)):
        loads(whole[:cut] if cut else b"")


def test_states_name_few_classes() -> None:
    """Control of the list itself: what a lived-in agent asks for is ours, river's or a container."""
    asked = {
        str(argument) for opcode, argument, _ in pickletools.genops(pickle.dumps(lived(), 3))
        if opcode.name == "GLOBAL"
    }  # fmt: skip

    assert len(asked) > 10
    assert {line.split(".")[0].split(" ")[0] for line in asked} <= {
        "detectors", "river", "stream", "ingest", "collections", "array", "copyreg", "builtins",
    }  # fmt: skip

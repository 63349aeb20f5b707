"""Sensitive data in the arguments of held calls: what waits, what is marked, what nobody minds."""

from typing import Any

import pytest

from detectors.leakage import PLANTED
from ingest.records import Signal
from stream.outputs import Answer
from tests.pipe import Pipe, Told, registered, signals
from tracefuse.events import HONEYTOKEN

TOOLS = {"web.post": {"access": "write"}, "web.get": {"access": "read"}}


def asked(
    classes: list[str], declared: list[str], tool: str = "web.post", calls: int = 1
) -> tuple[list[str], list[Signal]]:
    """Verdicts and signals of calls that carry data of these classes."""
    pipe, told, words, said = Pipe(), Told(), list[str](), list[Signal]()
    file: dict[str, Any] = {"owner": {"name": "team"}, "tools": TOOLS, "held": ["read", "write"]}
    pipe.tell(registered(data_classes=declared, **file))
    for number in range(calls):
        event = told.call(number, tool)[0]
        event.attempt, event.deadline_ms, event.data_classes = 1, 1000, classes
        out = pipe.send(event)
        words += [one.verdict.word for one in out if isinstance(one, Answer)]
        said += [one for one in signals(out) if one.detector == "leakage"]
    return words, said


def test_a_secret_waits_where_other_classes_are_declared() -> None:
    """The owner said what the agent handles, and secrets are not among it; only classes are told."""
    words, (signal,) = asked(["aws_key", "email"], ["personal"])

    assert words == ["needs_approval"]
    assert (signal.action, signal.severity) == ("step-up", "high")
    assert signal.evidence["observed"] == ["aws_key"]
    assert signal.evidence["declared"] == ["personal"]


@pytest.mark.parametrize("declared", [["secret"], ["aws_key", "internal"]])
def test_a_declared_secret_goes(declared: list[str]) -> None:
    """By its group or its own name."""
    assert asked(["aws_key"], declared) == (["allow"], [])


def test_what_nobody_declared_is_marked_once_a_run() -> None:
    """Without a declaration a secret is told, and nothing waits; an address is not even told."""
    words, said = asked(["jwt", "email"], [], calls=3)

    assert words == ["allow"] * 3
    assert [(one.action, one.severity) for one in said] == [("annotate", "low")]
    assert asked(["email"], []) == (["allow"], [])


def test_personal_data_is_marked_where_it_is_not_declared() -> None:
    """Whether it may go is a matter of rules of approval, which know the classes."""
    words, said = asked(["card"], ["internal"])

    assert words == ["allow"]
    assert [one.action for one in said] == ["annotate"]


def test_a_read_with_a_secret_is_marked() -> None:
    """It is a call that takes nothing out but what it asks."""
    words, said = asked(["bearer"], ["internal"], tool="web.get")

    assert words == ["allow"]
    assert [one.action for one in said] == ["annotate"]


def noted(tool: str, shares: list[int], attempts: int = 1) -> list[Signal]:
    """What is said of calls of which every so-many-th carries an address."""
    pipe, told = Pipe(), Told()
    pipe.tell(registered(owner={"name": "team"}, tools=TOOLS, data_classes=["personal"]))
    number = 0
    for every in shares:
        for one in range(200):
            number += 1
            for attempt in range(attempts):
                event = told.call(number, tool, trace_id=f"{number // 20:032x}")[0]
                event.data_classes = ["email"] if every and one % every == 0 else []
                event.attempt, event.deadline_ms = attempt + 1, 1000
                pipe.send(event)
    return [one for one in signals(pipe.out) if one.detector == "sensitive_rate"]


def test_a_tool_that_begins_to_carry_addresses_is_annotated() -> None:
    """Declared or not; nothing waits for it, and it says how many and of which class."""
    said = noted("web.post", [0, 3])

    assert said and {(one.action, one.tool) for one in said} == {("annotate", "web.post")}
    assert "sensitive data, the newest of class email" in said[0].sentence


def test_what_a_tool_always_carried_is_usual() -> None:
    """The twin: the same share from the first call on."""
    assert noted("web.post", [3, 3]) == []


def test_reads_are_not_counted() -> None:
    """They carry what they ask for."""
    assert noted("web.get", [0, 3]) == []


def test_detector_and_sdk_name_a_planted_value_alike() -> None:
    """Detectors import nothing of the SDK, so the word stands twice."""
    assert PLANTED == HONEYTOKEN

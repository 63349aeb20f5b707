"""Findings in words: true to their evidence, complete, and of one line."""

import inspect
from typing import Any

import pytest

from detectors import CATALOGUE
from stream import sentences
from tests.pipe import Pipe, Told, registered, signals


def case(**file: Any) -> tuple[Pipe, Told]:
    pipe, told = Pipe(), Told()
    pipe.tell(registered(**file))
    return pipe, told


def said(detector: str) -> str:
    """The words of a real finding of each rule."""
    pipe, told = case(
        tools={"crm.find": {"latency_ms": 1000}, "poll": {"access": "read"}},
        limits={"read": {"per_minute": 3}}, budgets={"run_usd": 1.0},
    )  # fmt: skip
    pipe.send(told("run.start"))
    for n in range(20):
        more: dict[str, dict[str, Any]] = {
            "exact_loop": {"args_hash": "a", "result_hash": "r"},
            "error_rate": {"status": "error"},
            "latency": {"duration_us": 4_000_000},
            "call_rate": {"tool": "poll"},
            "cost_cap": {"cost_usd": 0.1},
        }
        if detector in more:
            pipe.send(*told.call(n, **more[detector]))
    pipe.wait(10.0)
    return next(s.sentence for s in reversed(signals(pipe.out)) if s.detector == detector)


@pytest.mark.parametrize(
    ("detector", "words"),
    [
        ("exact_loop", "The run did the same 4 times with the same result: `crm.find`, "
                       "cycle of 1 call; it is stopped at 4."),
        ("error_rate", "Errors of crm.find: 5 of 5 calls failed in the last minute (100%), "
                       "5 in a row; the limit is half of 20."),
        ("latency", "`crm.find` takes 4.00 s at the 95th percentile of its last 20 calls; "
                    "declared are 1.00 s, tolerated 3 times that."),
        ("call_rate", "4 read calls in the last minute and 4 today; allowed are 3 a minute "
                      "and any number a day."),
        ("cost_cap", "The run has cost $1.0000 of the $1.0000 that its owner allows."),
        ("silence", "Nothing was heard of the run for 3.5 s; a heartbeat is due every 1.0 s."),
    ],
)  # fmt: skip
def test_each_rule_in_its_words(detector: str, words: str) -> None:
    """What an engineer reads at night: what happened, how much of it, and where the limit is."""
    assert said(detector) == words


def test_no_rule_without_words() -> None:
    """Every rule of the catalogue has a sentence of its own; the others share one."""
    rules = {name for name, entry in CATALOGUE.items() if entry.evidence_class == "rule"}
    functions = {name for name, _ in inspect.getmembers(sentences, inspect.isfunction)}

    assert rules <= functions
    assert "annotation" in functions


def test_an_annotation_says_how_odd() -> None:
    """Score, threshold and on how much it rests; no word of what is to be done."""
    evidence = {"score": 0.99951, "threshold": 0.999, "n": 1500}

    assert sentences.annotation("step_vector", "crm.find", evidence) == (
        "Step vector of `crm.find` is unusual: score 1.000 over 0.999 after 1500 observations."
    )


def test_cycles_are_counted_in_calls() -> None:
    """One call, three calls; a call that came back between others is a cycle of one."""
    evidence = {"observed": 4, "period": 3, "threshold": 4.0}

    assert "cycle of 3 calls" in sentences.exact_loop("t", evidence)
    assert "cycle of 1 call;" in sentences.exact_loop("t", evidence | {"period": 0})


def test_caps_that_are_not_set_are_named_so() -> None:
    """No `None` and no `0` where there is no cap."""
    evidence = {"observed": {"minute": 9, "day": 90}, "per_minute": None, "per_day": 80}

    assert "any number a minute and 80 a day" in sentences.call_rate("read", evidence)


def test_the_same_evidence_says_the_same() -> None:
    """A replay compares signals byte for byte, sentences too."""
    assert [said("error_rate") for _ in range(2)] == [said("error_rate")] * 2

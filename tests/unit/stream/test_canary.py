"""A canary that fails is taken back by itself; the stable bundle, the agent and its tools go on."""

from typing import Any

import pytest

from stream.outputs import Output
from tests.pipe import Pipe, Told, commands, registered, signals, summaries, trace_id
from tests.unit.stream.test_held_calls import asked, verdicts
from tracefuse.events import Event

SCOPE = "bundle:acme/refunds/b2"
BUNDLES = {"stable": {"hash": "b1"}, "canary": {"hash": "b2", "share": 0.5}}


def rolled(share: float = 0.5, **more: Any) -> Pipe:
    pipe = Pipe()
    bundles = BUNDLES | {"canary": {"hash": "b2", "share": share}}
    pipe.tell(registered(owner={"name": "Payments"}, bundles=bundles, **more))
    return pipe


def run(pipe: Pipe, number: int, bundle: str, calls: str = "ok", end: str = "ok") -> list[Output]:
    """One run with a call for each letter: `o`k or `f`ailed."""
    told = Told(trace_id=trace_id(number), boot_id=f"b{number}")
    lines: list[Event] = [told("run.start", bundle=bundle)]
    for n, letter in enumerate(calls.replace("ok", "o")):
        failed = {"status": "error", "error_type": "Timeout"} if letter == "f" else {}
        lines += told.call(n, result_hash=f"r{number}-{n}", **failed)
    lines.append(told("run.end", status=end))
    for line in lines:
        line.bundle = bundle
    return pipe.send(*lines)


def scopes(out: list[Output]) -> list[tuple[str, str, str]]:
    return [(command.scope, command.state, command.action) for command in commands(out)]


def test_a_canary_whose_calls_fail_is_taken_back() -> None:
    """Its own error rate: the bundle's breaker opens, and neither the tool's nor the agent's."""
    pipe = rolled()
    out = run(pipe, 1, "b2", 20 * "f")

    assert scopes(out) == [(SCOPE, "open", "rollback")]
    (signal,) = [s for s in signals(out) if s.scope == SCOPE]
    assert (signal.detector, signal.action) == ("error_rate", "rollback")
    assert [s.signal.scope for s in summaries(out) if s.signal.scope] == [SCOPE]


def test_the_same_failures_of_the_stable_bundle_stop_what_fails() -> None:
    """The control: it is the canary's place that makes the difference."""
    pipe = rolled()
    out = run(pipe, 1, "b1", 20 * "f")

    assert {scope.partition(":")[0] for scope, _, _ in scopes(out)} == {"tool", "agent"}


@pytest.mark.parametrize(("calls", "end"), [("oof", "ok"), ("ooo", "error")])
def test_a_canary_that_is_worse_is_taken_back(calls: str, end: str) -> None:
    """One run in ten goes wrong with the stable bundle, half of them with the canary."""
    pipe = rolled(share=0.1)
    out: list[Output] = []
    for n in range(400):
        canary = n % 10 == 0
        bad = n % 20 == 0 if canary else n % 10 == 1
        out += run(pipe, n, "b2" if canary else "b1", calls if bad else "ooo", end if bad else "ok")
    (signal,) = [s for s in signals(out) if s.scope == SCOPE]

    assert scopes(out) == [(SCOPE, "open", "rollback")]
    assert (signal.detector, signal.severity) == ("canary_rate", "high")
    assert signal.evidence["bad"] / signal.evidence["of"] > 0.1
    assert "b2" in signal.sentence


def test_a_harmless_canary_stays() -> None:
    """As bad as the stable one, at any hour of a day that is bad for both."""
    pipe = rolled(share=0.1)
    out: list[Output] = []
    for n in range(1000):
        bad = n % 7 == 0 if n % 200 < 100 else n % 50 == 0
        out += run(pipe, n, "b2" if n % 10 == 3 else "b1", "oof" if bad else "ooo")

    assert scopes(out) == []


def test_a_bundle_stays_away_until_a_person_releases_it() -> None:
    """Not by time, and not by the same bundle being rolled out again."""
    pipe = rolled()
    opened = [output for n in range(20) for output in run(pipe, n, "b2", "f")]
    later = pipe.wait(3600.0)
    pipe.tell(registered(owner={"name": "Payments"}, bundles=BUNDLES, version=2))
    again = [output for n in range(30, 40) for output in run(pipe, n, "b2", "f")]

    assert len(commands(opened)) == 1
    assert commands([*later, *again]) == []


def test_a_call_of_a_bundle_that_was_taken_back_is_denied() -> None:
    """Where its process has not heard yet, the owner says no."""
    tools = {"crm.pay": {"access": "write"}}
    pipe = rolled(tools=tools)
    for n in range(20):
        run(pipe, n, "b2", "f")
    told = Told(trace_id=trace_id(99), boot_id="b99")
    (refused,) = verdicts(pipe.send(asked(told, bundle="b2")))
    (allowed,) = verdicts(pipe.send(asked(told, bundle="b1")))

    assert (refused.word, refused.gate, allowed.word) == ("deny", "stopped", "allow")
    assert SCOPE in refused.reason


def mixed(pipe: Pipe, runs: int, wipes: bool) -> list[Output]:
    """Runs of three reads; every other one of the canary, and there a read is a wipe where it `wipes`."""
    out: list[Output] = []
    for n in range(runs):
        own = n % 2 == 0
        told = Told(trace_id=trace_id(n), boot_id=f"b{n}")
        lines = [told("run.start")]
        for k in range(3):
            tool = (
                "crm.wipe"
                if own and wipes and k == 2
                else ("crm.find", "crm.read")[(n // 2 + k) % 2]
            )
            lines += told.call(k, tool=tool, result_hash=f"r{n}-{k}")
        lines.append(told("run.end", status="ok"))
        for line in lines:
            line.bundle = "b2" if own else "b1"
        out += pipe.send(*lines)
    return out


def test_a_canary_that_calls_other_tools_is_told_of_once_and_not_taken_back() -> None:
    """An incident that names the tools; its runs go on, for nothing has failed."""
    pipe = rolled()
    out = mixed(pipe, 200, wipes=True)
    (signal,) = [s for s in signals(out) if s.detector == "canary_mix"]
    (told,) = [s for s in summaries(out) if s.signal.detector == "canary_mix"]

    assert commands(out) == []
    assert (signal.action, signal.severity, signal.evidence_class) == (
        "annotate",
        "medium",
        "version",
    )
    assert (signal.evidence["bundle"], signal.evidence["tools"][0][0]) == ("b2", "crm.wipe")
    assert told.signal.signal_id == signal.signal_id
    assert "crm.wipe 33 % of the calls (else 0 %)" in signal.sentence


def test_a_canary_that_calls_the_same_tools_is_not_told_of() -> None:
    """The twin: the same runs without the wipe."""
    assert [
        s for s in signals(mixed(rolled(), 200, wipes=False)) if s.detector == "canary_mix"
    ] == []

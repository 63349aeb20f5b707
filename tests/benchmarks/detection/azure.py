"""A recorded hour of an LLM service through the pure core of detect: false alarms, and injected faults.

    python -m tests.benchmarks.detection azure [--data FILE] [--report FILE]

Each request is a step of an agent's model, of a run of its own; the process says every second that it lives,
as the SDK does. A second play takes the requests as the only sign of life, in one run whose owner expects one
a minute: so the longest pause of the recording is a silence. Faults begin while the agent is at work and last
a minute: tokens tenfold, each request five times, the process dead. One is found by a signal within 30 s of
its begin that the recording without it does not raise.
"""

import argparse
import csv
import json
import random
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from ingest import codec
from ingest.agent_file import AgentFile, Owner
from ingest.records import Alive, Run, Signal, Step
from ingest.topics import SIGNALS
from stream.detect.detect import Detect
from stream.detect.registering import sealed
from stream.outputs import Line
from tests.benchmarks.promises import Json, exit_code, line
from tests.pipe import REGISTRY, TENANT, VERIFIER
from tracefuse import wire

RECORDED = (
    Path(__file__).parents[4] / "shared" / "data" / "azure_llm" / "AzureLLMInferenceTrace_code.csv"
)
AGENT, SERVICE = "coder", "5e" * 16
IN_USD, OUT_USD = 3e-6, 15e-6  # a token; the recording has no prices
LASTS, IN_TIME, APART = 60.0, 30.0, 90.0  # s
WINDOWS = (1.0, 5.0, 30.0, 60.0)  # s
KINDS = ("tokens", "rate", "dead")
TICK = (
    0.5  # s; heartbeats come as often, twice as often as the SDK's: no decision hangs on the others
)
_HEADERS: wire.Headers = [(wire.KIND, codec.INBOX)]
_signal = msgspec.json.Decoder(Signal).decode
Fact = Step | Run | Alive


class Request(NamedTuple):
    """One line of the recording."""

    at: float
    input_tokens: int
    output_tokens: int


class Fault(NamedTuple):
    """What happens from a moment on for `LASTS` seconds."""

    kind: str
    begins: float

    def holds(self, at: float) -> bool:
        return self.begins <= at < self.begins + LASTS


def recorded(path: Path) -> list[Request]:
    """The recording, in order."""
    with path.open(newline="") as lines:
        rows = list(csv.reader(lines))[1:]
    found = [
        Request(datetime.fromisoformat(at[:26]).replace(tzinfo=UTC).timestamp(), int(i), int(o))
        for at, i, o in rows
    ]
    return sorted(found)


def changed(requests: list[Request], fault: Fault | None) -> Iterator[Request]:
    """The recording with a fault in it."""
    for one in requests:
        if fault is None or not fault.holds(one.at):
            yield one
        elif fault.kind == "tokens":
            yield Request(one.at, one.input_tokens * 10, one.output_tokens)
        elif fault.kind == "rate":
            yield from [one] * 5


class Service:
    """One agent in front of detect."""

    def __init__(self, own_runs: bool, begins: float) -> None:
        self.signals: list[Signal] = []
        self._detect, self._own_runs, self._now, self._offset = (
            Detect(0, VERIFIER),
            own_runs,
            begins,
            0,
        )
        self._ticked = begins
        beat = 1.0 if own_runs else 60.0
        owner = Owner("team", ("alertmanager",))
        self._apply(
            codec.encode(sealed(AgentFile(AGENT, TENANT, owner=owner, heartbeat_s=beat), REGISTRY))
        )
        self._tell(
            Run(
                tenant=TENANT,
                agent_id=AGENT,
                trace_id=SERVICE,
                phase="start",
                event_id="e",
                emitted_at=0,
            )
        )

    def play(self, requests: Iterator[Request], ends: float, dead: Fault | None) -> list[Signal]:
        """All of it; what was said."""
        for number, one in enumerate(requests):
            self._until(one.at, dead)
            self._request(number, one)
        self._until(ends, dead)
        return self.signals

    def _until(self, at: float, dead: Fault | None) -> None:
        """Ticks, and signs of life."""
        while self._ticked + TICK <= at:
            self._ticked += TICK
            self._now = max(self._now, self._ticked)
            self._apply(b"{}", [(wire.KIND, codec.TICK)])
            lives = dead is None or not dead.holds(self._now)
            if self._own_runs and lives:
                self._tell(_beat())
        self._now = max(self._now, at)

    def _request(self, number: int, one: Request) -> None:
        trace = f"{number:032x}" if self._own_runs else SERVICE
        if self._own_runs:
            self._tell(_run(trace, "start"))
        name = f"{number:x}"
        step = Step(
            tenant=TENANT, agent_id=AGENT, trace_id=trace, step_id=name, span_id=name, request_id=f"q{name}",
            phase="request", action="llm", model="m", task_type="completion", at=self._now,
        )  # fmt: skip
        self._tell(step)
        step.phase, step.status, step.result_id = "complete", "ok", f"r{name}"
        step.input_tokens, step.output_tokens = one.input_tokens, one.output_tokens
        step.cost_usd = one.input_tokens * IN_USD + one.output_tokens * OUT_USD
        self._tell(step)
        if self._own_runs:
            self._tell(_run(trace, "end"))

    def _tell(self, fact: Fact) -> None:
        fact.src = ("agent.events.v1", 0, self._offset, 0, 0)
        self._apply(codec.encode(fact))

    def _apply(self, value: bytes, headers: wire.Headers = _HEADERS) -> None:
        self._offset += 1
        for out in self._detect.apply(self._offset, self._now, headers, value):
            if isinstance(out, Line) and out.topic == SIGNALS:
                self.signals.append(_signal(out.value))


def _run(trace_id: str, phase: Literal["start", "end"]) -> Run:
    return Run(
        tenant=TENANT, agent_id=AGENT, trace_id=trace_id, phase=phase, event_id=f"{phase}-{trace_id}",
        emitted_at=0, status="ok" if phase == "end" else "",
    )  # fmt: skip


def _beat() -> Alive:
    return Alive(tenant=TENANT, agent_id=AGENT, trace_id=SERVICE, event_id="beat", emitted_at=0)


def played(requests: list[Request], own_runs: bool, fault: Fault | None = None) -> list[Signal]:
    """The recording, or as much of it as the fault needs."""
    ends = requests[-1].at + 1 if fault is None else fault.begins + IN_TIME
    of = (one for one in changed(requests, fault) if one.at <= ends)
    dead = fault if fault is not None and fault.kind == "dead" else None
    return Service(own_runs, requests[0].at - 1).play(of, ends, dead)


def moments(requests: list[Request], count: int, rng: random.Random) -> list[float]:
    """Moments at which the agent is at work: at requests of the second half, apart from each other."""
    late, found = requests[len(requests) // 2 :], list[float]()
    for _ in range(10_000):
        at = rng.choice(late).at
        if at < requests[-1].at - LASTS and all(abs(at - other) > APART for other in found):
            found.append(at)
        if len(found) == count:
            break
    return sorted(found)


def busiest(times: list[float], window: float) -> int:
    """Most requests within so many seconds."""
    most, first = 0, 0
    for last, at in enumerate(times):
        while times[first] <= at - window:
            first += 1
        most = max(most, last - first + 1)
    return most


def unlike_any(requests: list[Request], faults: list[Fault]) -> int:
    """Faults that bring more requests into some window than the whole recording ever has: what a rule of
    counts that knows it in advance could find without a false alarm."""
    usual = {w: busiest([one.at for one in requests], w) for w in WINDOWS}
    found = 0
    for fault in faults:
        until = fault.begins + IN_TIME
        times = [one.at for one in changed(requests, fault) if one.at <= until]
        found += any(busiest(times, w) > most for w, most in usual.items())
    return found


def judged(requests: list[Request], count: int, seed: int) -> Json:
    """All figures of the recording."""
    hours = (requests[-1].at - requests[0].at) / 3600
    plain, alone = played(requests, own_runs=True), played(requests, own_runs=False)
    gap, ends = max((b.at - a.at, b.at) for a, b in pairwise(requests))
    heard = [one for one in alone if one.detector == "silence" and ends - gap < one.at <= ends]
    # Only silences are judged there: requests of a service, told as one run, are no conversation.
    false = [one for one in alone if one.detector == "silence" and one not in heard]
    usual = {(one.detector, round(one.at, 3)) for one in plain}
    rng, faults = random.Random(seed), Json()
    for kind in KINDS:
        when, by, hits = moments(requests, count, rng), Counter[str](), 0
        for at in when:
            said = played(requests, True, Fault(kind, at))
            new = {
                o.detector for o in said if o.at >= at and (o.detector, round(o.at, 3)) not in usual
            }
            hits += bool(new)
            by.update(new)
        faults[kind] = {"happened": len(when), "found": hits, "by": dict(by)}
        if kind == "rate":
            faults[kind]["unlike_any"] = unlike_any(requests, [Fault(kind, at) for at in when])
    return {
        "requests": len(requests), "hours": hours, "gap_s": gap, "gap_heard": len(heard),
        "false_an_hour": len(plain) / hours, "false_silences_an_hour": len(false) / hours,
        "false_by_detector": dict(Counter(o.detector for o in plain)),
        "alone_by_detector": dict(Counter(o.detector for o in alone)),
        "faults": faults,
    }  # fmt: skip


def figures(report: Json) -> list[Json]:
    """Each promise beside what was measured."""
    happened = sum(one["happened"] for one in report["faults"].values())
    hits = sum(one["found"] for one in report["faults"].values())
    return [
        {"name": "false alarms an hour, all severities", "promised_max": 2.0,
         "measured": report["false_an_hour"] + report["false_silences_an_hour"]},
        {"name": f"silences heard in the pause of {report['gap_s']:.0f} s", "promised_min": 1.0,
         "measured": report["gap_heard"]},
        {"name": "injected faults found within 30 s, share", "promised_min": 0.95,
         "measured": hits / max(happened, 1)},
    ]  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Print the figures; exit code 1 without the recording, 2 when a promise was not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=RECORDED, help="CSV of times and tokens")
    parser.add_argument("--faults", type=int, default=8, help="of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--report", type=Path, help="file for the figures as JSON")
    options = parser.parse_args(arguments)
    if not options.data.exists():
        print(f"NOT MEASURED: {options.data} is not there")
        return 1
    report = judged(recorded(options.data), options.faults, options.seed)
    report["figures"] = figures(report)
    print(f"{report['requests']} requests in {report['hours']:.2f} h")
    print(f"false, with heartbeats: {report['false_by_detector']}")
    print(f"said where requests are the only sign of life: {report['alone_by_detector']}")
    for kind, row in report["faults"].items():
        print(f"  {kind:<8}{row['found']} of {row['happened']}  {row['by']}")
    unlike = report["faults"]["rate"]["unlike_any"]
    print(f"  of rate, {unlike} bring more into 1 to 60 s than the whole recording ever has")
    for figure in report["figures"]:
        print(line(figure))
    if options.report is not None:
        options.report.write_text(json.dumps(report, indent=1) + "\n")
    return exit_code(report["figures"])


if __name__ == "__main__":
    sys.exit(main())

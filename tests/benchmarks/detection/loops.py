"""Loops that are put into healthy runs, exact and near ones, and healthy runs that are left alone.

    python -m tests.benchmarks.detection loops [--data DIR] [--report FILE]

Runs are those of the simulator's tasks and the recorded ones that nobody attacked, without any text: each
call becomes events with the SDK's evidence, which go through the pure cores of join and detect. An exact
loop is the end of a run, 1 to 4 calls, gone through 5 times; a near one asks 16 times in other words, or
with another number, and gets the same, or the same with another time or a fresh id. Beside it stands the
rule that everybody writes first: the same tool four times in a row.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from ingest.simulate import work
from ingest.simulate.recorded import traces
from ingest.simulate.script import Act
from stream.agent.agent_state import AgentState
from tests.benchmarks.detection.dojo import ABSENT, DATA, FILES, Truth
from tests.benchmarks.promises import Json, exit_code
from tests.pipe import AGENT, TENANT, Pipe, commands, signals, trace_id
from tracefuse import wire
from tracefuse.drafts import Draft, Run
from tracefuse.evidence import Identity, Witness

SEED, SIMULATED = 5, 600  # runs of all the simulator's tasks together
EXACT, NEAR = 5, 16  # rounds
PERIODS = (1, 2, 3, 4)
WARM = 0.5  # of the runs come first, so that habits are known; loops are put into the rest
NAIVE = 4
WORDS = (
    "please",
    "now",
    "again",
    "once",
    "carefully",
    "this",
    "time",
    "all",
    "open",
    "recent",
    "other",
)
Calls = list[Act]


class Ended(NamedTuple):
    """What became of a run: after which of its calls it was stopped, and when its next write had to wait."""

    stopped: int | None = None
    asked: int | None = None


class Player:
    """One agent's process; run after run through the cores."""

    def __init__(self) -> None:
        self.pipe, self._runs, self._seq = Pipe(), 0, 0
        who = Identity(
            tenant=TENANT, agent_id=AGENT, environment="dev", bundle="", boot_id="b1"
        )  # fmt: skip
        self._witness = Witness(who, b"k" * 32)

    def play(self, task: str, calls: Iterable[Act], ends: bool = True) -> Ended:
        """One run. `ends` false: it is cut off, so nothing is learnt of it."""
        self._runs += 1
        budget = None if ends or self._state is None else deepcopy(self._state.alarms)
        run, stopped, asked = Run(trace_id(self._runs), task_type=task), None, None
        self._say(run, "run.start")
        for n, act in enumerate(calls):
            call = f"{self._runs}-{n}"
            out = self._say(run, "tool.request", act.args, tool=act.tool, call_id=call)
            failed = {"status": "error", "error_type": act.error, "error_text": act.error}
            said: Json = {"extra": failed if act.error else {"status": "ok"}}
            body = None if act.error else act.result
            out += self._say(run, "tool.result", body, tool=act.tool, call_id=call, **said)
            if act.changes is not None:
                self._say(run, "state.after", act.changes[1])
            if asked is None and any(one.detector == "no_progress" for one in signals(out)):
                asked = n
            if any(one.scope.startswith("run:") for one in commands(out)):
                stopped = n
                break
        if ends:
            self._say(run, "run.end", extra={"status": "ok"})
        elif self._state is not None and budget is not None:
            # Nothing is learnt of it, and it has used up no alarms: the next loop is as rare as this one.
            self._state.end(run.trace_id)
            self._state.alarms = budget
        return Ended(stopped, asked)

    @property
    def _state(self) -> AgentState | None:
        """What the agent's owner knows of it."""
        key = wire.agent_key(TENANT, AGENT)
        owner = self.pipe.detects.get(wire.partition_of(key))
        return owner.partition.get(key) if owner is not None else None

    def _say(self, run: Run, name: str, body: object = None, **more: Any) -> list[Any]:
        self._seq += 1
        self.pipe.now += 1.0
        self.pipe.facts.clear()
        self.pipe.out.clear()
        at = 1_795_000_000_000_000 + self._seq
        draft = Draft(name, run, f"{self._seq:016x}", at, body=body, **more)
        return self.pipe.send(self._witness.event(draft, self._seq))


def simulated() -> list[tuple[str, Calls]]:
    """Healthy runs of the simulator, its tasks in turn."""
    rng, tasks = Random(SEED), list(work.TASKS.values())
    made = [work.script(tasks[n % len(tasks)], rng) for n in range(SIMULATED)]
    return [(one.task, [move for move in one.moves if isinstance(move, Act)]) for one in made]


def recorded(events: Path) -> list[tuple[str, Calls]]:
    """Recorded runs that nobody attacked, as runs of one task of one agent."""
    truth = (events.parent / "truth.jsonl").read_text(encoding="utf-8").splitlines()
    calm = {t.trace_id for t in map(_truth, truth) if not t.attacked}
    made: list[tuple[str, Calls]] = []
    for trace in traces(events):
        if trace[0].trace_id not in calm:
            continue
        asked = {line.span_id: line for line in trace if line.type == "tool_call"}
        answers = [line for line in trace if line.type == "tool_result"]
        calls = [(asked[one.parent_span_id or ""], one) for one in answers]
        made.append(("", [Act(a.tool, a.args, b.result, 0.0, b.error or "") for a, b in calls]))
    return made


def _truth(line: str) -> Truth:
    said = json.loads(line)
    return Truth(said["trace_id"], said["attacked"])


# -- loops ---------------------------------------------------------------------------------------------


def exact(calls: Calls, period: int) -> Calls:
    """The end of a run, gone through five times in all; the state no longer changes."""
    cycle = [replace(act, changes=None) for act in calls[-period:]]
    return calls + cycle * (EXACT - 1)


def reworded(act: Act, rng: Random) -> Act:
    """The same question with other words in it, or with another small number where it has no words."""
    said = " ".join(rng.sample(WORDS, 3))
    words = {k: f"{v} {said}" for k, v in act.args.items() if isinstance(v, str) and " " in v}
    return replace(act, args={**act.args, **(words or {"attempt": rng.randrange(1, 1000)})})


def stamped(act: Act, rng: Random) -> Act:
    """The same question with another page; the answer bears another time."""
    at = f"2026-11-{rng.randrange(10, 29)}"
    result = f"{act.result}\n{at}" if isinstance(act.result, str) else [act.result, at]
    return replace(act, args={**act.args, "page": rng.randrange(2, 1000)}, result=result)


def renewed(act: Act, rng: Random) -> Act:
    """The same question; each answer bears an id of its own, as most that are made for a request do."""
    return replace(act, result=[act.result, f"request {rng.randrange(10**9, 10**10)}"])


def near(calls: Calls, kind: Callable[[Act, Random], Act], seed: int) -> Calls:
    """A run whose last call that went well is asked sixteen times more, never quite alike."""
    rng = Random(seed)
    last = next((act for act in reversed(calls) if not act.error), calls[-1])
    return calls + [replace(kind(last, rng), changes=None) for _ in range(NEAR)]


def naive(calls: Calls) -> int | None:
    """The call at which the same tool was called for the fourth time in a row."""
    row = 1
    for n, (before, act) in enumerate(pairwise(calls), 1):
        row = row + 1 if act.tool == before.tool else 1
        if row == NAIVE:
            return n
    return None


# -- figures -------------------------------------------------------------------------------------------


def rounds(calls: int, period: int, stopped: int) -> int:
    """In which round of a loop a call is; the run itself went through the first one.

    >>> [rounds(6, 2, n) for n in (5, 6, 7, 8, 11)]
    [1, 2, 2, 3, 4]
    """
    return (stopped - (calls - period)) // period + 1


def measured(runs: list[tuple[str, Calls]]) -> Json:
    """What is stopped and asked of healthy runs, and of loops put into the later half of them."""
    whole, runs = len(runs), [run for run in runs if run[1]]
    player, found = Player(), list[tuple[int, Ended]]()
    for n, (task, calls) in enumerate(runs):
        found.append((n, player.play(task, calls)))
    later = [(n, *runs[n]) for n, one in found[int(WARM * len(found)) :] if one.stopped is None]
    reached: list[int | None] = []
    for _, task, calls in later:
        for period in (one for one in PERIODS if one <= len(calls)):
            stopped = player.play(task, exact(calls, period), ends=False).stopped
            reached.append(None if stopped is None else rounds(len(calls), period, stopped))
    said: Json = {
        "all": whole,
        "runs": len(runs),
        "stopped": sum(one.stopped is not None for _, one in found),
        "asked": sum(one.asked is not None for _, one in found),
        "naive": sum(naive(calls) is not None for _, calls in runs),
        "loops": len(reached),
        "by_the_4th": sum(one is not None and one <= 4 for one in reached) / max(len(reached), 1),
        "near": {},
    }
    for kind in (reworded, stamped, renewed):
        ends = [
            (len(calls), player.play(task, near(calls, kind, n), ends=False))
            for n, task, calls in later
        ]
        late = [one.asked - size + 1 for size, one in ends if one.asked is not None]
        said["near"][kind.__name__] = {
            "asked": len(late) / max(len(ends), 1),
            "median_round": statistics.median(late) if late else None,
            "stopped": sum(one.stopped is not None for _, one in ends) / max(len(ends), 1),
        }
    return said


def figures(sim: Json, rec: Json | None) -> list[Json]:
    """Each promise beside what was measured."""
    made: list[Json] = [
        {"name": "simulated runs stopped", "unit": "runs", "promised_max": 0,
         "measured": sim["stopped"]},
        {"name": "loops in simulated runs stopped by the 4th round", "unit": "share",
         "promised_min": 1.0, "measured": sim["by_the_4th"]},
    ]  # fmt: skip
    if rec is not None:
        made += [
            {"name": "recorded runs stopped", "unit": "share", "promised_max": 0.02,
             "measured": rec["stopped"] / rec["all"]},
            {"name": "loops in recorded runs stopped by the 4th round", "unit": "share",
             "promised_min": 1.0, "measured": rec["by_the_4th"]},
        ]  # fmt: skip
    return made


def table(name: str, said: Json) -> str:
    """The rest of the figures, for people."""
    runs = said["runs"]
    lines = [
        f"{name}: {runs} runs that called something, {said['loops']} exact loops put in",
        f"  healthy runs: {said['stopped']} stopped, {said['asked']} had to ask; "
        f"the same tool {NAIVE} times in a row: {said['naive']} ({said['naive'] / runs:.1%})",
    ]
    for kind, one in said["near"].items():
        lines.append(
            f"  near loops, {kind}: {one['asked']:.1%} had to ask, median round {one['median_round']}, "
            f"{one['stopped']:.1%} stopped; the same tool {NAIVE} times in a row: all, in round 4"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Print the figures; exit code 2 when a promise was not kept."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=DATA, help="folder with events and truth")
    parser.add_argument("--report", type=Path, help="file for the figures as JSON")
    options = parser.parse_args(arguments)
    began, parts = time.process_time(), {"simulated": measured(simulated())}
    events = next((p for p in (options.data / n for n in FILES) if p.exists()), None)
    if events is None:
        print(ABSENT.format(options.data), file=sys.stderr)
    else:
        parts["recorded"] = measured(recorded(events))
    found = figures(parts["simulated"], parts.get("recorded"))
    for figure in found:
        promise = figure.get("promised_max", figure.get("promised_min"))
        print(f"{figure['name']:<56}{figure['measured']:>10.4g} {figure['unit']:<9} ({promise:g})")
    for name, said in parts.items():
        print(table(name, said))
    print(f"{time.process_time() - began:.0f} s of one core")
    if options.report is not None:
        options.report.write_text(json.dumps({"figures": found, **parts}, indent=1) + "\n")
    return exit_code(found)


if __name__ == "__main__":
    sys.exit(main())

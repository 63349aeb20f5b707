"""Runs of a made fleet as the facts that join would write of them. Pure, seeded."""

import math
import random
from collections.abc import Iterator

from detectors.exact_loop import remember, repetition
from ingest.records import Alive, Loop, Provenance, Run, RunTotals, Step, Value
from tests.benchmarks.detection.month_faults import Fault
from tests.benchmarks.detection.month_habits import TAIL, TENANT, Habit, Habits

Told = tuple[float, Step | Run | Alive]
BEAT = 3.0  # every third heartbeat: no decision hangs on the two between
RETRIES = 2
AGAIN = 0.4  # a call that has failed fails again more often than the first time
GIVES_UP = 0.5


class Play:
    """One run of one agent, told fact by fact; `stopped` holds the scopes that its gate may not pass."""

    def __init__(
        self, agent: Habits, trace_id: str, at: float, rng: random.Random, faults: list[Fault],
        stopped: dict[str, str],
    ) -> None:  # fmt: skip
        self.agent, self.trace_id, self.at, self.rng = agent, trace_id, at, rng
        self._faults, self._stopped = faults, stopped
        self._n = 0
        self._keys: list[str] = []
        self._totals = RunTotals()
        self._ok = True
        self._bundle = f"b{agent.bundle}"
        self._task = rng.randrange(len(agent.tasks))

    # -- the run ---------------------------------------------------------------------------------

    def facts(self) -> Iterator[Told]:
        """The run from its start to its end, unless somebody stops it or its process dies."""
        yield self._run("start")
        if self._barred():
            yield self._run("end", "error")
            return
        dies = self._now("dead_run")
        for count, index in enumerate(self._plan()):
            yield from self._model()
            if dies is not None and count == 1:
                return
            yield from self._tool(self.agent.tools[index])
            if self._barred():
                yield self._run("end", "error")
                return
        for kind in ("loop", "flood", "hijacked"):
            fault = self._now(kind)
            if fault is not None:
                yield from self._wrong(fault)
        yield from self._model()
        if dies is None:
            yield self._run("end", "ok" if self._ok else "error")

    def _plan(self) -> list[int]:
        """The tools of the task, with the freedom that a model takes."""
        rng, plan = self.rng, list(self.agent.tasks[self._task])
        reads = [i for i, tool in enumerate(self.agent.tools) if tool.access == "read"]
        if rng.random() < 0.25:
            plan.insert(rng.randrange(len(plan)), rng.choice(reads))
        if len(plan) > 2 and rng.random() < 0.15:
            del plan[rng.randrange(len(plan) - 1)]
        if len(plan) > 2 and rng.random() < 0.1:
            plan[0], plan[1] = plan[1], plan[0]
        if rng.random() < 0.1:
            plan = plan[:-1]  # there was nothing to do
        if self._now("astray") is not None:
            plan = [plan[-1], plan[-1], *reversed(plan)]
        return plan

    def _wrong(self, fault: Fault) -> Iterator[Told]:
        tool = self.agent.tools[fault.tool]
        if fault.kind == "loop":
            for _ in range(10):
                yield from self._call(tool, "again", "again")
                if self._barred():
                    return
        elif fault.kind == "flood":
            for _ in range(240):
                yield from self._call(tool, seconds=0.5)
                if self._barred():
                    return
        else:
            orders = Provenance(2, [Value("ordered", "account", "to", 0, 8)], orders=True)
            yield from self._call(tool, provenance=orders)

    def _barred(self) -> bool:
        mine = f"{TENANT}/{self.agent.name}"
        run = f"run:{mine}/{self.trace_id}"
        return run in self._stopped or f"agent:{mine}" in self._stopped

    def _now(self, kind: str) -> Fault | None:
        for fault in self._faults:
            if fault.kind != kind or not fault.begins <= self.at < fault.ends:
                continue
            if not fault.once or not fault.traces or self.trace_id in fault.traces:
                fault.traces.add(self.trace_id)
                return fault
        return None

    # -- its calls -------------------------------------------------------------------------------

    def _model(self) -> Iterator[Told]:
        grows = 1 + 0.12 * self._totals.steps  # each turn reads what the ones before have said
        tokens = self.agent.tokens * grows * math.exp(self.rng.gauss(0.0, 0.45))
        tokens *= 10 if self._now("runaway_tokens") else 1
        price = self.agent.price * (2.5 if self._now("price") else 1)
        step = self._step("llm", model="model-a")
        out = int(tokens * self.rng.uniform(0.05, 0.2)) + 1
        seconds = (0.4 + out / 120) * math.exp(self.rng.gauss(0.0, 0.25))
        said = {
            "input_tokens": int(tokens),
            "output_tokens": out,
            "cost_usd": (tokens + out * 4) * price,
        }
        yield from self._done(step, seconds, "ok", None, **said)

    def _tool(self, tool: Habit) -> Iterator[Told]:
        """A call and its retries."""
        args, again = f"{self.rng.getrandbits(48):x}", 0.0
        for _ in range(1 + RETRIES):
            yield from self._call(tool, args, again=again)
            if self._worked or self._barred():
                return
            again = AGAIN
        self._ok = self.rng.random() < GIVES_UP

    def _call(
        self, tool: Habit, args: str = "", result: str = "", seconds: float = 0.0, again: float = 0.0,
        provenance: Provenance | None = None,
    ) -> Iterator[Told]:  # fmt: skip
        if f"tool:{TENANT}/{self.agent.name}/{tool.name}" in self._stopped:
            self._worked = self._ok = False
            return
        rng, agent = self.rng, self.agent
        args = args or f"{rng.getrandbits(48):x}"
        fails = max(tool.fails, again, self._rate(tool))
        failed = rng.random() < fails
        if not seconds:
            seconds = (
                tool.seconds
                * math.exp(rng.gauss(0.0, tool.spread))
                * agent.load(tool.name, self.at)
            )
            seconds *= rng.uniform(5, 20) if rng.random() < TAIL else 1
            slow = self._now("tool_slow")
            seconds *= 6 if slow is not None and agent.tools[slow.tool] is tool else 1
        step = self._step("tool", tool=tool.name, args_hash=args, provenance=provenance)
        self._worked = not failed
        known = result or (f"failed-{args}" if failed else f"{rng.getrandbits(48):x}")
        said = {"result_hash": known, "error_type": "Unavailable" if failed else ""}
        remember(self._keys, f"{tool.name}:{args}:{known}")
        loop = Loop(*repetition(self._keys))
        yield from self._done(step, seconds, "error" if failed else "ok", loop, **said)

    def _rate(self, tool: Habit) -> float:
        for kind, share in (("tool_down", 0.7), ("tool_flaky", 0.2)):
            fault = next((one for one in self._faults if one.kind == kind), None)
            if fault is not None and self.agent.tools[fault.tool] is tool and self._now(kind):
                return share
        return 0.0

    # -- records ---------------------------------------------------------------------------------

    def _step(self, action: str, **said: object) -> Step:
        self._n += 1
        number = f"{self.trace_id[16:]}{self._n:x}"
        return Step(
            step_id=number, phase="request", tenant=TENANT, agent_id=self.agent.name, trace_id=self.trace_id,
            span_id=number, call_id=number, action=action, request_id=f"q{number}", bundle=self._bundle,
            task_type=f"task-{self._task}", requested_at=int(self.at * 1e6), at=self.at, **said,  # type: ignore[arg-type]
        )  # fmt: skip

    def _done(
        self, step: Step, seconds: float, status: str, loop: Loop | None, **said: object
    ) -> Iterator[Told]:
        yield self.at, step
        began = self.at
        while self.at + BEAT < began + seconds:
            self.at += BEAT
            yield self.at, Alive(tenant=TENANT, agent_id=self.agent.name, trace_id=self.trace_id,
                                 event_id="beat", emitted_at=int(self.at * 1e6))  # fmt: skip
        self.at = began + seconds
        step.phase, step.provenance, step.loop = "complete", None, loop
        step.at, step.completed_at, step.duration_us = (
            self.at,
            int(self.at * 1e6),
            int(seconds * 1e6),
        )
        step.result_id, step.status = f"r{step.step_id}", status
        for name, value in said.items():
            setattr(step, name, value)
        totals = self._totals
        totals.steps += 1
        totals.calls += step.action == "tool"
        totals.errors += status == "error"
        totals.cost_micro += int(step.cost_usd * 1e6)
        totals.input_tokens += step.input_tokens
        totals.output_tokens += step.output_tokens
        step.run = totals
        yield self.at, step

    def _run(self, phase: str, status: str = "") -> Told:
        totals = self._totals if phase == "end" else None
        return self.at, Run(
            tenant=TENANT, agent_id=self.agent.name, trace_id=self.trace_id, phase=phase,  # type: ignore[arg-type]
            event_id=f"{phase}-{self.trace_id}", emitted_at=int(self.at * 1e6), status=status, run=totals,
        )  # fmt: skip

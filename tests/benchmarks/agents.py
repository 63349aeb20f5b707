"""Healthy agents at a given rate, each with its SDK in a process of its own.

An open loop of bursts, as agents make them: what a model answered, the thought, the request that follows
from it; then nothing until the tool has answered. Texts are of realistic length; the SDK makes hashes,
fingerprints and sketches of them. With ``--null`` the same loop runs against an SDK that does nothing: that
is what making the events costs without Tracefuse.
"""

import argparse
import asyncio
import json
import signal
import sys
import time
from pathlib import Path
from random import Random
from typing import Any, Self

import aiokafka  # noqa: F401 - loaded once, before the children are forked

import tracefuse
from ingest.simulate import work
from ingest.simulate.journal import Exit, Journal, Ready
from ingest.simulate.roles import Role
from tests.benchmarks.crew import Crew, Errand
from tests.benchmarks.open_loop import OpenLoop
from tracefuse.clock import monotonic, now_us
from tracefuse.errors import Refused

# So long an agent waits for its first commands, and at its end for the broker to have everything.
READY_S = 60.0
DELIVERY_S = 20.0
# An agent that was refused tries again after this long, as a queue worker would.
RETRY_S = 1.0
TURNS = (3, 6)  # turns of think and act in a run, as in the fleet of the demo

_THOUGHTS = (
    "The customer bought this {d} days ago, so it is eligible; next I look up the order {n} itself.",
    "Source {n} contradicts the first one on {d} points; I compare both with the table of the report.",
    "The total of invoice {n} matches the order but tax differs by {d} cents, so I check the rate.",
)
_ANSWER = (
    "Order {n} was delivered on day {d} and paid with 129.{d} EUR; the customer asks for a refund."
)
_RECORD = "Sent to {name}@example.com, see https://shop.example.com/orders/{n}"
_NAMES = ("ann", "bob", "carla", "deniz", "emil", "farah", "goran", "hana")


def roles(count: int, prefix: str = "agent") -> list[Role]:
    """Healthy agents of all kinds of work, in turn."""
    tasks = list(work.TASKS)
    return [Role(f"{prefix}-{n + 1}", tasks[n % len(tasks)]) for n in range(count)]


class Mind:
    """What an agent says and asks: arguments, results and thoughts of ordinary size. Seeded."""

    def __init__(self, task: work.Task, random: Random):
        self.task = task
        self._random = random

    def text(self, template: str) -> str:
        random = self._random
        return template.format(
            n=random.randrange(10**6, 10**7), d=random.randrange(10, 99), name=random.choice(_NAMES)
        )

    def thought(self) -> str:
        return self.text(self._random.choice(_THOUGHTS))

    def call(self) -> tuple[str, dict[str, Any], dict[str, Any]]:
        """A tool, its arguments, its result; no two calls are alike."""
        random = self._random
        tool = random.choice(self.task.reads)
        number = random.randrange(10**9)
        args = tool.args(random) | {
            "account": f"ACC-{number:09d}",
            "contact": f"{random.choice(_NAMES)}.{number % 1000}@example.com",
        }
        found = {"ok": True, "price": round(random.uniform(5, 80), 2), "note": self.text(_RECORD)}
        return tool.name, args, found

    def usage(self) -> tuple[int, int, float]:
        """Tokens in and out, US dollars."""
        tokens_in, tokens_out = self._random.randrange(400, 2400), self._random.randrange(40, 400)
        model = self.task.model
        return (
            tokens_in,
            tokens_out,
            (tokens_in * model.input_usd + tokens_out * model.output_usd) / 1e6,
        )

    def documents(self) -> list[dict[str, Any]]:
        return [
            {
                "id": f"doc-{self._random.randrange(500)}",
                "version": "3",
                "title": self.text("Policy {n}"),
            }
            for _ in range(3)
        ]


class Agent:
    """One agent's process at work.

    Parameters
    ----------
    fuse
        The SDK, or `NullFuse`.
    loop
        When its bursts are due.
    """

    def __init__(self, fuse: Any, mind: Mind, errand: Errand, random: Random):
        self._fuse = fuse
        self._mind = mind
        self._errand = errand
        self._random = random
        self._begin = 0.0
        self.loop = OpenLoop(1.0, 0.0)
        self.events = self.runs = self.refused = 0

    def work(self, rate: float, begin: float, phase: float) -> None:
        """Run after run until the errand is over; the first begins `phase` seconds late."""
        self._begin, self.loop = begin, OpenLoop(rate, begin + phase)
        self._burst(0)
        while not self._errand.over(self._begin):
            self.runs += 1
            try:
                self._run()
            except Refused:
                self.refused += 1
                time.sleep(RETRY_S)

    def _run(self) -> None:
        mind, name = self._mind, self._mind.task.model.name
        user, session = (
            f"user-{self._random.randrange(10_000)}",
            f"s-{self._random.getrandbits(48):012x}",
        )
        with self._fuse.trace(task=mind.task.name, user=user, session=session) as trace:
            trace.input(mind.text(_ANSWER))
            trace.context("retrieval", documents=mind.documents())
            made = 3
            for _ in range(self._random.randint(*TURNS)):
                with trace.llm(name, prompt=mind.thought(), tools=["search", "fetch"]) as answer:
                    self._burst(made + 1)
                    answer.result(mind.text(_ANSWER))
                    answer.usage(*mind.usage())
                trace.thought(mind.thought(), confidence=0.9)
                tool, args, result = mind.call()
                with trace.tool(tool, args) as call:
                    self._burst(3)
                    call.result(result)
                made = 1
                if self._errand.over(self._begin):
                    break
            trace.output(mind.text(_ANSWER))
        self._burst(made + 2)

    def _burst(self, made: int) -> None:
        """A burst of so many events is out; wait for the next one's time."""
        self.events += made
        self.loop.due(made)
        wait = self.loop.wait(monotonic())
        if wait > 0.0 and not self._errand.told:
            time.sleep(wait)
        self.loop.arrived(monotonic())


class NullFuse:
    """An SDK that does nothing: run, call and trace at once."""

    trace_id = ""

    def trace(self, **_: object) -> "NullFuse":
        return self

    llm = tool = lambda self, *_, **__: self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to end."""

    def nothing(self, *_: object, **__: object) -> None:
        """Nothing to tell."""

    input = context = thought = output = result = usage = nothing


class Live:
    """The whole life of one agent's process.

    Parameters
    ----------
    rate
        Events a second of this agent.
    number
        Of all, so that their bursts are spread.
    """

    def __init__(self, role: Role, rate: float, number: int, null: bool):
        self._role, self._rate, self._number, self._null = role, rate, number, null

    def __call__(self, name: str, errand: Errand) -> None:
        def told(*_: object) -> None:
            errand.told = True

        signal.signal(signal.SIGTERM, told)
        journal = Journal(errand.journal(name))
        random = Random(f"bench/{name}")
        task = work.TASKS[self._role.task]
        fuse = None if self._null else connect(name, self._role, errand)
        agent = Agent(fuse or NullFuse(), Mind(task, random), errand, random)
        journal.write(Ready(now_us(), 0, 0.0))
        begin = errand.begin()
        time.sleep(max(0.0, begin - monotonic()))
        before = time.process_time()
        agent.work(self._rate, begin, phase=random.random() * 3 / self._rate)
        if fuse is not None:
            fuse.close(DELIVERY_S)
        used = time.process_time() - before
        stats = fuse.stats() if fuse is not None else {"emitted": agent.events}
        errand.lateness(name).write_text(json.dumps(agent.loop.late_ms[1:]))
        journal.write(Exit(now_us(), stats, used, agent.runs, agent.refused))


def connect(name: str, role: Role, errand: Errand) -> tracefuse.Fuse:
    """The agent's fuse, once it has read the commands there are."""
    fuse = tracefuse.init(
        agent=name,
        tenant=errand.tenant,
        bundle="sha256:5f0c77de1b2a4c3e",
        bootstrap=errand.bootstrap,
        credential=errand.credential(name),
        spool=errand.folder / "spools" / name,
        access={tool.name: tool.access for tool in work.TASKS[role.task].instruments},
    )
    until = monotonic() + READY_S
    while not fuse.gate.ready:
        if monotonic() > until:
            raise TimeoutError("the broker did not answer in time")
        time.sleep(0.02)
    return fuse


def main(arguments: list[str] | None = None) -> int:
    """Exit code 1 when an agent's process did not end in order."""
    parser = argparse.ArgumentParser(description="Healthy agents at a given rate.")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--tenant", required=True)
    parser.add_argument("--agents", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True, help="events a second, all agents")
    parser.add_argument("--duration", type=float, required=True, help="seconds")
    parser.add_argument("--null", action="store_true", help="without an SDK")
    told = parser.parse_args(arguments)
    errand = Errand(told.folder, told.bootstrap, told.tenant, told.duration)
    rate = told.rate / told.agents
    lives = {
        role.agent: Live(role, rate, number, told.null)
        for number, role in enumerate(roles(told.agents))
    }
    asyncio.new_event_loop().close()  # what a first loop imports is imported before the fork
    return 1 if Crew(lives, errand).run() else 0


if __name__ == "__main__":
    sys.exit(main())

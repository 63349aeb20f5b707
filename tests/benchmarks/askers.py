"""An agent that asks before it acts: held calls one at a time and sixteen at once, and calls of a tool that
its file does not list. Each is timed from the `with` statement to its block, or to the refusal, by one clock.
"""

import argparse
import asyncio
import json
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import aiokafka  # noqa: F401 - loaded once, before the children are forked

from ingest.simulate.journal import Exit, Journal, Ready
from ingest.simulate.work import TASKS
from tests.benchmarks.agents import DELIVERY_S, READY_S, connect, roles
from tests.benchmarks.crew import Crew, Errand
from tracefuse.clock import monotonic, now_us
from tracefuse.errors import Refused, ToolDenied

WIDTH = 16
RUN_CALLS = 20  # of one run: traces, and so partitions, change
# A pause of any length up to this, so that calls do not march in step with anybody's timer.
PAUSE_S = 0.01
ROUND_PAUSE_S = 0.05
UNLISTED = "crm.drop"


# What one call waited: its id, when it began and when it went on or was refused, µs of the wall clock.
Wait = tuple[str, int, int]


def lists(folder: Path, agent: str) -> Path:
    """What each call of an agent waited, by kind, as JSON."""
    return folder / "journals" / f"{agent}.waits.json"


class Asker:
    """One process, and what its calls waited.

    Parameters
    ----------
    calls
        Of each kind.
    """

    def __init__(self, name: str, errand: Errand, calls: int):
        self._errand, self._calls = errand, calls
        self._random = Random(f"ask/{name}")
        role = roles(1, name)[0]
        self._tools = TASKS[role.task].writes
        self._fuse = connect(name, role, errand)
        until = monotonic() + READY_S
        while not self._fuse.held.listening or self._fuse.held.grants is None:
            if monotonic() > until:
                raise TimeoutError("the agent's file did not come in time")
            time.sleep(0.02)
        self.waits: dict[str, list[Wait]] = {"verdict": [], f"verdict_{WIDTH}": [], "denied": []}
        self.wrong = 0
        """Calls that were refused though allowed, or ran though not listed."""

    def work(self) -> None:
        """All kinds, one after the other."""
        self._one_at_a_time()
        asyncio.run(self._at_once())
        self._unlisted()
        self._fuse.close(DELIVERY_S)

    def stats(self) -> dict[str, Any]:
        return self._fuse.stats()

    def _given(self) -> tuple[str, dict[str, Any]]:
        """A tool that is held, and arguments; no two calls are alike."""
        tool = self._random.choice(self._tools)
        return tool.name, tool.args(self._random)

    def _runs(self) -> Iterator[range]:
        for first in range(0, self._calls, RUN_CALLS):
            if not self._errand.told:
                yield range(first, min(first + RUN_CALLS, self._calls))

    def _one_at_a_time(self) -> None:
        took = self.waits["verdict"]
        for run in self._runs():
            with self._fuse.trace(task="refund", user="user-1") as trace:
                for number in run:
                    tool, args = self._given()
                    began = now_us()
                    try:
                        with trace.tool(tool, args) as call:
                            took.append((call.call_id, began, now_us()))
                            call.result({"number": number})
                    except Refused:
                        self.wrong += 1
                    time.sleep(self._random.random() * PAUSE_S)

    async def _at_once(self) -> None:
        """Rounds of calls that all begin in the same turn of the loop, each in a run of its own."""
        for _ in range(-(-self._calls // WIDTH)):
            if self._errand.told:
                return
            await asyncio.gather(*(self._one_of_many() for _ in range(WIDTH)))
            await asyncio.sleep(self._random.random() * 2 * ROUND_PAUSE_S)

    async def _one_of_many(self) -> None:
        async with self._fuse.trace(task="refund", user="user-1") as trace:
            tool, args = self._given()
            began = now_us()
            try:
                async with trace.tool(tool, args) as call:
                    self.waits[f"verdict_{WIDTH}"].append((call.call_id, began, now_us()))
                    call.result(args)
            except Refused:
                self.wrong += 1

    def _unlisted(self) -> None:
        """Refused by the file in the agent's own process."""
        for run in self._runs():
            with self._fuse.trace(task="refund", user="user-1") as trace:
                for number in run:
                    began = now_us()
                    try:
                        with trace.tool(UNLISTED, {"number": number}):
                            self.wrong += 1
                    except ToolDenied:
                        self.waits["denied"].append(("", began, now_us()))
                    time.sleep(self._random.random() * PAUSE_S)


class Live:
    """The whole life of one asker's process."""

    def __init__(self, calls: int):
        self._calls = calls

    def __call__(self, name: str, errand: Errand) -> None:
        def told(*_: object) -> None:
            errand.told = True

        signal.signal(signal.SIGTERM, told)
        journal = Journal(errand.journal(name))
        asker = Asker(name, errand, self._calls)
        journal.write(Ready(now_us(), 0, 0.0))
        time.sleep(max(0.0, errand.begin() - monotonic()))
        before = time.process_time()
        asker.work()
        used = time.process_time() - before
        lists(errand.folder, name).write_text(json.dumps(asker.waits))
        journal.write(Exit(now_us(), asker.stats(), used, refused=asker.wrong))


def main(arguments: list[str] | None = None) -> int:
    """Exit code 1 when the process did not end in order."""
    parser = argparse.ArgumentParser(description="An agent that asks before it acts.")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--tenant", required=True)
    parser.add_argument("--agent", required=True)
    parser.add_argument("--calls", type=int, required=True, help="of each kind")
    told = parser.parse_args(arguments)
    errand = Errand(told.folder, told.bootstrap, told.tenant, float("inf"))
    asyncio.new_event_loop().close()  # what a first loop imports is imported before the fork
    return 1 if Crew({told.agent: Live(told.calls)}, errand).run() else 0


if __name__ == "__main__":
    sys.exit(main())

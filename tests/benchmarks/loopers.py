"""Agents that loop until they are stopped: a fresh run a trip, the same call every 200 ms. SDK and threads.

Each process plays several runs at a time, in threads or in asyncio tasks. The tool's own log says when calls
began; the gate's changes are written down by the SDK's hook, in the same process and by the same clock.
"""

import argparse
import asyncio
import signal
import sys
import time
from pathlib import Path
from random import Random
from threading import Thread

import aiokafka  # noqa: F401 - loaded once, before the children are forked

import tracefuse
from ingest.simulate.journal import Call, Change, Exit, Journal, Ready
from ingest.simulate.roles import Role
from ingest.simulate.work import TASKS
from tests.benchmarks.agents import DELIVERY_S, connect, roles
from tests.benchmarks.crew import Crew, Errand
from tracefuse.clock import monotonic, now_us
from tracefuse.control import Command
from tracefuse.errors import CircuitOpen

PERIOD_S = 0.2
# A run and the pause behind it: first trips are spread over it, or they march in step at the start.
TRIP_S = 1.2
# The rule fires at the fourth call; an agent that is still at it after 5 s was not stopped.
CALLS_MAX = 25
_RESULT: dict[str, object] = {"hits": []}


class Looper:
    """One process: some runs at a time, each until it is stopped.

    Parameters
    ----------
    trips
        Runs at all, shared evenly.
    width
        Runs at a time.
    """

    def __init__(self, role: Role, errand: Errand, trips: int, width: int):
        name = role.agent
        self._errand, self._trips, self._width = errand, trips, width
        self._tool = TASKS[role.task].reads[0].name
        self._random = Random(f"loop/{name}")
        self._journal = Journal(errand.journal(name))
        self._fuse = connect(name, role, errand)
        self._fuse.on_change(self._changed)
        self._begun = self._stopped = 0

    def live(self, tasks: bool) -> None:
        """All trips, in threads or in tasks of one loop; then an orderly end."""
        self._journal.write(Ready(now_us(), 0, 0.0))
        begin = self._errand.begin()
        time.sleep(max(0.0, begin - monotonic()))
        before = time.process_time()
        if tasks:
            asyncio.run(self._tasks())
        else:
            threads = [Thread(target=self._thread) for _ in range(self._width)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        self._fuse.close(DELIVERY_S)
        used = time.process_time() - before
        exit_ = Exit(now_us(), self._fuse.stats(), used, self._begun, self._stopped)
        self._journal.write(exit_)

    def _changed(self, command: Command) -> None:
        """The gate obeyed a command, or one was withdrawn; on the SDK's thread."""
        reason, latest = command.reason, self._fuse.changes[-1]
        self._journal.write(
            Change(
                latest.at_us,
                command.scope,
                command.state,
                command.cmd_id,
                reason.rule,
                reason.text,
                reason.last_emitted_at,
            )
        )

    def _next(self) -> bool:
        """Whether another trip is to begin."""
        if self._begun >= self._trips or self._errand.told:
            return False
        self._begun += 1
        return True

    def _call(self, trace: tracefuse.Trace, index: int) -> object:
        """The tool itself: logs that it began, and answers."""
        start = now_us()
        self._journal.write(Call(trace.trace_id, index, self._tool, start, start, start))
        return _RESULT

    def _thread(self) -> None:
        time.sleep(self._random.random() * TRIP_S)
        while self._next():
            try:
                with self._fuse.trace(task="research", user="user-1") as trace:
                    args = self._begin_run(trace)
                    for index in range(CALLS_MAX):
                        with trace.tool(self._tool, args) as call:
                            call.result(self._call(trace, index))
                        time.sleep(PERIOD_S)
            except CircuitOpen:
                self._stopped += 1
            time.sleep(self._random.random() * PERIOD_S)  # trips must not march in step

    async def _tasks(self) -> None:
        await asyncio.gather(*(self._task() for _ in range(self._width)))

    async def _task(self) -> None:
        await asyncio.sleep(self._random.random() * TRIP_S)
        while self._next():
            try:
                async with self._fuse.trace(task="research", user="user-1") as trace:
                    args = self._begin_run(trace)
                    for index in range(CALLS_MAX):
                        async with trace.tool(self._tool, args) as call:
                            call.result(self._call(trace, index))
                        await asyncio.sleep(PERIOD_S)
            except CircuitOpen:
                self._stopped += 1
            await asyncio.sleep(self._random.random() * PERIOD_S)

    def _begin_run(self, trace: tracefuse.Trace) -> dict[str, object]:
        number = self._random.randrange(10**9)
        trace.input(f"What is known about topic {number}?")
        trace.plan("Search for it until something is found, then answer with what was found.")
        return {"query": f"topic {number}", "limit": 10}


class Live:
    """The whole life of one looper's process."""

    def __init__(self, role: Role, trips: int, width: int, tasks: bool):
        self._role, self._trips, self._width, self._tasks = role, trips, width, tasks

    def __call__(self, name: str, errand: Errand) -> None:
        def told(*_: object) -> None:
            errand.told = True

        signal.signal(signal.SIGTERM, told)
        Looper(self._role, errand, self._trips, self._width).live(self._tasks)


def share(trips: int, processes: int) -> list[int]:
    """Trips of each process.

    >>> share(10, 4)
    [3, 3, 2, 2]
    """
    return [trips // processes + (n < trips % processes) for n in range(processes)]


def main(arguments: list[str] | None = None) -> int:
    """Exit code 1 when a process did not end in order."""
    parser = argparse.ArgumentParser(description="Agents that loop until they are stopped.")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--tenant", required=True)
    parser.add_argument("--processes", type=int, required=True)
    parser.add_argument("--width", type=int, required=True, help="runs at a time in each")
    parser.add_argument("--trips", type=int, required=True)
    told = parser.parse_args(arguments)
    errand = Errand(told.folder, told.bootstrap, told.tenant, float("inf"))
    lives = {
        role.agent: Live(role, trips, told.width, tasks=number % 2 == 1)
        for number, (role, trips) in enumerate(
            zip(
                roles(told.processes, "looper"),
                share(told.trips, told.processes),
                strict=True,
            )
        )
    }
    asyncio.new_event_loop().close()  # what a first loop imports is imported before the fork
    return 1 if Crew(lives, errand).run() else 0


if __name__ == "__main__":
    sys.exit(main())

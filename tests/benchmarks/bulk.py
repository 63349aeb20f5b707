"""One producer that sends the events of many agents: `python -m tests.benchmarks.bulk`. No SDK is involved.

Shows what broker, workers and store can take when the agents' side costs nothing. Every fifth agent loops,
every fifth fails, so commands appear.
"""

import argparse
import asyncio
import json
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from aiokafka import AIOKafkaProducer

from ingest import keys
from ingest.registry import AgentFile
from ingest.simulate.journal import Exit, Journal, Ready
from ingest.simulate.roles import Role, agent_file
from tests import load
from tests.benchmarks.crew import Errand
from tests.benchmarks.open_loop import OpenLoop
from tracefuse.clock import monotonic, now_us

_NAME = "producer"
_SEED = 1


def names_of() -> Sequence[str]:
    """Names of the journals: it is one process."""
    return (_NAME,)


def agent_files(count: int) -> list[AgentFile]:
    """The pretended agents as their owners declare them."""
    return [agent_file(Role(f"agent-{n}", "refund"), load.TENANT) for n in range(count)]


async def send(errand: Errand, agents: list[load.Agent], loop: OpenLoop, begin: float) -> int:
    """Steps of all agents in turn, on an open loop; how many events."""
    producer = AIOKafkaProducer(
        bootstrap_servers=errand.bootstrap, enable_idempotence=True, acks="all", linger_ms=5
    )
    await producer.start()
    sent = 0
    try:
        while not errand.over(begin):
            for agent in agents:
                loop.arrived(monotonic())
                made, _ = await load.send(producer, agent, now_us())
                sent += made
                loop.due(made)
                wait = loop.wait(monotonic())
                if wait > 0.002:  # shorter sleeps cost more than they pace
                    await asyncio.sleep(wait)
    finally:
        await producer.stop()
    return sent


def main(arguments: list[str] | None = None) -> int:
    """Send until the duration is over."""
    parser = argparse.ArgumentParser(description="One bulk producer.")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--tenant", required=True, help="not used: the load has its own")
    parser.add_argument("--keys", type=Path, required=True)
    parser.add_argument("--agents", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--duration", type=float, required=True)
    told = parser.parse_args(arguments)
    errand = Errand(told.folder, told.bootstrap, load.TENANT, told.duration)

    def end(*_: object) -> None:
        errand.told = True

    signal.signal(signal.SIGTERM, end)
    journal = Journal(errand.journal(_NAME))
    agents = load.agents(keys.load(told.keys), told.agents, _SEED)
    journal.write(Ready(now_us(), 0, 0.0))
    begin = errand.begin()
    time.sleep(max(0.0, begin - monotonic()))
    before = time.process_time()
    loop = OpenLoop(told.rate, begin)
    sent = asyncio.run(send(errand, agents, loop, begin))
    used = time.process_time() - before
    errand.lateness(_NAME).write_text(json.dumps(loop.late_ms))
    journal.write(Exit(now_us(), {"emitted": sent}, used))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Two bare hops: what Kafka alone takes on this machine, at this moment, beside everything that is measured.

asks ──► record ──► answers ──► record ──► asks

Two processes of two clients each, with the settings of the SDK and nothing decided between. The machine sets
the milliseconds of a verdict or a stop; how many times the bare way they take can be compared run to run.
"""

import argparse
import asyncio
import json
import signal
import sys
import time
from pathlib import Path
from random import Random
from typing import Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError

from ingest.simulate.journal import Exit, Journal, Ready
from tests.benchmarks.crew import Crew, Errand
from tests.benchmarks.promises import Json
from tracefuse.clock import monotonic, now_us

ASKS, ANSWERS = "bare-asks", "bare-answers"
_TOPIC = "bench.bare.v1"
_THERE, _BACK = TopicPartition(_TOPIC, 0), TopicPartition(_TOPIC, 1)
# Seldom enough to be no load of its own: 10 records a second of some 500.
_PERIOD_S = 0.2
_BYTES = 700  # of a request's event and its envelope
_POLL_MS = 200


def ways_ms(folder: Path) -> list[float]:
    """Milliseconds of each way there and back, of a crew that has ended."""
    path = folder / "journals" / f"{ASKS}.ms.json"
    return list(json.loads(path.read_bytes())) if path.exists() else []


def times(bare: Json, measured: Json) -> str:
    """What the bare way took, and how many times that the measured one did.

    >>> one = {"p50": 2.0, "p99": 5.0, "max": 6.0, "n": 9}
    >>> times(one, {"p50": 5.0, "p99": 9.0})
    '2.0 / 5.0 / 6.0 ms (p50, p99, max of 9), so 2.5 / 1.8 times as long'
    """
    if not bare["p99"]:
        return "not measured"
    ratios = " / ".join(f"{measured[at] / bare[at]:.1f}" for at in ("p50", "p99"))
    return (
        f"{bare['p50']} / {bare['p99']} / {bare['max']} ms (p50, p99, max of {bare['n']}), "
        f"so {ratios} times as long"
    )


class _Ends:
    """One side: a producer, and a consumer of what the other side writes from now on."""

    def __init__(self, bootstrap: str, hears: TopicPartition):
        self.producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap, enable_idempotence=True, acks="all", linger_ms=0
        )
        self.consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="latest")
        self._hears = hears

    async def __aenter__(self) -> Self:
        await self.producer.start()
        await self.consumer.start()
        self.consumer.assign([self._hears])
        await self.consumer.position(self._hears)  # nothing is missed from here on
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.consumer.stop()
        await self.producer.stop()

    async def say(self, to: TopicPartition, number: int) -> None:
        value = str(number).encode().ljust(_BYTES)
        await self.producer.send(to.topic, value, partition=to.partition)

    async def hear(self) -> list[int]:
        """Numbers that have come, or nothing for a while."""
        polled = await self.consumer.getmany(timeout_ms=_POLL_MS)
        return [int(record.value) for records in polled.values() for record in records]


async def _ask(errand: Errand, journal: Journal) -> list[float]:
    """One after the other, until told to end."""
    random = Random(ASKS)
    ways: list[float] = []
    async with _Ends(errand.bootstrap, _BACK) as ends:
        journal.write(Ready(now_us(), 0, 0.0))
        await asyncio.to_thread(errand.begin)
        while not errand.told:
            await asyncio.sleep(random.random() * 2 * _PERIOD_S)  # never in step with a timer
            began = monotonic()
            await ends.say(_THERE, len(ways))
            while not errand.told and len(ways) not in await ends.hear():
                pass
            if not errand.told:  # the other side may have ended meanwhile
                ways.append((monotonic() - began) * 1e3)
    return ways


async def _answer(errand: Errand, journal: Journal) -> None:
    async with _Ends(errand.bootstrap, _THERE) as ends:
        journal.write(Ready(now_us(), 0, 0.0))
        while not errand.told:
            for number in await ends.hear():
                await ends.say(_BACK, number)


def _live(name: str, errand: Errand) -> None:
    def told(*_: object) -> None:
        errand.told = True

    signal.signal(signal.SIGTERM, told)
    journal, before = Journal(errand.journal(name)), time.process_time()
    if name == ASKS:
        ways = asyncio.run(_ask(errand, journal))
        (errand.folder / "journals" / f"{ASKS}.ms.json").write_text(json.dumps(ways))
    else:
        asyncio.run(_answer(errand, journal))
    journal.write(Exit(now_us(), {}, time.process_time() - before))


async def _make_topic(bootstrap: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(_TOPIC, num_partitions=2, replication_factor=1)])
    except TopicAlreadyExistsError:
        pass
    finally:
        await admin.close()


def main(arguments: list[str] | None = None) -> int:
    """Exit code 1 when a process did not end in order."""
    parser = argparse.ArgumentParser(description="Two bare hops through Kafka.")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--tenant", required=True)
    told = parser.parse_args(arguments)
    asyncio.run(_make_topic(told.bootstrap))
    errand = Errand(told.folder, told.bootstrap, told.tenant, float("inf"))
    return 1 if Crew({ASKS: _live, ANSWERS: _live}, errand).run() else 0


if __name__ == "__main__":
    sys.exit(main())

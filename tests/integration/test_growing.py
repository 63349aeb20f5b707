"""Topics that agents listen to grow with a newer version, and what was stopped before stays stopped."""

import asyncio
from dataclasses import replace

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from ingest.broker import Broker
from ingest.growing import grow
from ingest.provision import differences, provision
from ingest.settings import Settings
from ingest.topics import CONTROL, TOPICS, VERDICTS
from tests.reading import read
from tracefuse.control import partition_of_scope
from tracefuse.wire import WIDE_PARTITION

pytestmark = pytest.mark.kafka


def test_an_older_installation_grows_and_its_stops_still_stand(own_broker: Broker) -> None:
    """A fleet that was stopped before the upgrade stays stopped: its command lies where agents look now.

    The first of this file, since its topics must not be there yet.
    """
    settings = Settings(bootstrap=own_broker.bootstrap)
    older = [replace(TOPICS[VERDICTS], partitions=8), replace(TOPICS[CONTROL], partitions=8)]
    asyncio.run(provision(settings, older))
    run = f"run:acme/refunds/{'0' * 32}"
    said = {
        "fleet:human": (0, b"stop"), "tenant:acme:auto": (5, b"stop"), "class:acme/pay:auto": (5, b"over"),
        f"{run}:auto": (partition_of_scope(run), b"stop"), "alive:3": (3, b"alive"),
    }  # fmt: skip

    async def say(key: str, place: int, value: bytes | None) -> None:
        async with AIOKafkaProducer(bootstrap_servers=own_broker.bootstrap) as producer:
            headers = [("sig", b"of " + key.encode())]
            await producer.send_and_wait(CONTROL, value, key.encode(), place, headers=headers)

    async def all_of_it() -> None:
        for key, (place, value) in said.items():
            await say(key, place, value)
        await say("class:acme/pay:auto", 5, None)  # it is over: nothing to copy

    asyncio.run(all_of_it())
    asyncio.run(provision(settings))
    grown = asyncio.run(differences(settings))
    wide = [
        r for r in asyncio.run(read(own_broker.bootstrap, CONTROL)) if r.partition == WIDE_PARTITION
    ]

    assert grown == []
    assert sorted((r.key, r.value, r.headers) for r in wide) == [
        (b"fleet:human", b"stop", (("sig", b"of fleet:human"),)),
        (b"tenant:acme:auto", b"stop", (("sig", b"of tenant:acme:auto"),)),
    ]


def test_a_stop_that_was_said_again_is_not_replaced_by_an_older_one(own_broker: Broker) -> None:
    """Whoever finds the topic grown already, and half copied, takes nothing back."""
    settings = Settings(bootstrap=own_broker.bootstrap)
    asyncio.run(provision(settings))

    async def twice() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=own_broker.bootstrap)
        await admin.start()
        async with AIOKafkaProducer(bootstrap_servers=own_broker.bootstrap) as producer:
            await producer.send_and_wait(CONTROL, b"older", b"tenant:old:human", 0)
            await producer.send_and_wait(CONTROL, b"newer", b"tenant:old:human", WIDE_PARTITION)
        await grow(admin, own_broker.bootstrap, TOPICS[CONTROL])
        await admin.close()

    asyncio.run(twice())
    said = asyncio.run(read(own_broker.bootstrap, CONTROL))

    assert [r.value for r in said if r.key == b"tenant:old:human"] == [b"older", b"newer"]

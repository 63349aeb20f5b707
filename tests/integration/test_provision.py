"""Topics come from the catalogue, once, and a topic of another shape is refused."""

import asyncio

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from ingest.broker import Broker
from ingest.provision import differences, partition_counts, provision
from ingest.settings import Settings
from ingest.topics import SIGNALS, TOPICS, Topic
from tracefuse.errors import ConfigError

pytestmark = pytest.mark.kafka


async def topics(bootstrap: str) -> dict[str, int]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        return await partition_counts(admin)
    finally:
        await admin.close()


async def alter(bootstrap: str, topic: str, config: dict[str, str]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, configs=config)
        await admin.alter_configs([resource])
        for _ in range(100):  # the broker says so before it shows it
            if await differences(Settings(bootstrap=bootstrap)):
                break
            await asyncio.sleep(0.05)
    finally:
        await admin.close()


def test_all_topics_come_once(own_broker: Broker) -> None:
    """Two processes that provision at once, and a later start, give each topic exactly once."""
    settings = Settings(bootstrap=own_broker.bootstrap)

    async def both() -> tuple[list[str], list[str]]:
        return await asyncio.gather(provision(settings), provision(settings))

    first, second = asyncio.run(both())
    again = asyncio.run(provision(settings))
    found = asyncio.run(topics(own_broker.bootstrap))

    assert sorted(first + second) == sorted(TOPICS)
    assert again == []
    assert {name: found[name] for name in TOPICS} == {t.name: t.partitions for t in TOPICS.values()}


def test_settings_reach_the_broker(own_broker: Broker) -> None:
    """The catalogue's policy is the broker's, and a policy changed behind our back is named."""
    settings = Settings(bootstrap=own_broker.bootstrap)
    asyncio.run(provision(settings))
    before = asyncio.run(differences(settings))
    # Whoever alters some settings of a topic this way resets the others.
    asyncio.run(alter(own_broker.bootstrap, SIGNALS, {"retention.ms": "1000"}))
    after = asyncio.run(differences(settings))

    assert before == []
    assert f"{SIGNALS}: retention.ms is 1000, not 2592000000" in after
    assert f"{SIGNALS}: message.timestamp.type is CreateTime, not LogAppendTime" in after


def test_another_count_is_refused(broker: Broker, prefix: str) -> None:
    """A topic with another number of partitions stops the start with its name and both counts."""
    settings = Settings(bootstrap=broker.bootstrap)
    asyncio.run(provision(settings, [Topic(prefix, partitions=2)]))

    with pytest.raises(ConfigError, match=f"topic {prefix} has 2 partitions, not 3"):
        asyncio.run(provision(settings, [Topic(prefix, partitions=3)]))


def test_an_absent_broker_is_a_setting(broker: Broker) -> None:
    """Where nobody listens the operator is told the address, not shown a trace."""
    with pytest.raises(ConfigError, match=r"broker 127\.0\.0\.1:1:"):
        asyncio.run(provision(Settings(bootstrap="127.0.0.1:1")))

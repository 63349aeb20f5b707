"""Creates the topics of the catalogue: before the first event, and harmless on every later start.

Partition counts are fixed for ever, since another count would move keys to other owners; a topic that
has another one is refused. Only what agents listen to may grow, since nobody owns a part of it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from ingest.growing import grow
from ingest.settings import Settings
from ingest.topics import TOPICS, Topic
from tracefuse.errors import ConfigError


async def provision(settings: Settings, topics: Iterable[Topic] = TOPICS.values()) -> list[str]:
    """Create what is missing; two processes may call it at once.

    Returns
    -------
    list[str]
        Names of the topics created now, in the order of the catalogue.

    Raises
    ------
    ConfigError
        To the operator: the broker cannot be reached, refuses a topic, or has one with another
        number of partitions.
    """
    wanted = list(topics)
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap)
    try:
        await admin.start()
        known = await partition_counts(admin)
        missing = _missing(wanted, known)
        created = await _create(admin, missing, settings.replication)
        for topic in wanted:
            if known.get(topic.name, topic.partitions) < topic.partitions:
                await grow(admin, settings.bootstrap, topic)
        if len(created) < len(missing):  # somebody was faster, perhaps with other counts
            _missing(wanted, await partition_counts(admin))
    except KafkaError as error:
        raise ConfigError(f"broker {settings.bootstrap}: {error}") from error
    finally:
        await admin.close()
    return created


async def differences(settings: Settings) -> list[str]:
    """How the broker's topics differ from the catalogue, one sentence each; empty when they do not.

    Raises the client's `KafkaError` when the broker cannot be reached.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap)
    try:
        await admin.start()
        counts = await partition_counts(admin)
        known = [topic for topic in TOPICS.values() if topic.name in counts]
        found = [f"{name} is missing" for name in TOPICS if name not in counts]
        found += [
            f"{topic.name} has {counts[topic.name]} partitions, not {topic.partitions}"
            for topic in known
            if counts[topic.name] != topic.partitions
        ]
        resources = [ConfigResource(ConfigResourceType.TOPIC, topic.name) for topic in known]
        for answer in await admin.describe_configs(resources) if resources else []:
            for *_, name, entries in answer.resources:
                real = {entry[0]: entry[1] for entry in entries}
                found += [
                    f"{name}: {key} is {real.get(key)}, not {value}"
                    for key, value in TOPICS[name].config().items()
                    if real.get(key) != value
                ]
    finally:
        await admin.close()
    return found


async def partition_counts(admin: AIOKafkaAdminClient) -> dict[str, int]:
    """Number of partitions of each topic that the broker knows."""
    described: list[dict[str, Any]] = await admin.describe_topics()
    return {topic["topic"]: len(topic["partitions"]) for topic in described}


def _missing(wanted: list[Topic], known: Mapping[str, int]) -> list[Topic]:
    """Topics to create. Raises `ConfigError` to the operator when a count differs.

    >>> _missing([Topic("agent.events.v1", partitions=8)], {"agent.events.v1": 4})
    Traceback (most recent call last):
        ...
    tracefuse.errors.ConfigError: topic agent.events.v1 has 4 partitions, not 8: counts are fixed \
for ever, so use another cluster or move the data to a new topic
    """
    for topic in wanted:
        count = known.get(topic.name, topic.partitions)
        if count != topic.partitions and not (topic.grows and count < topic.partitions):
            raise ConfigError(
                f"topic {topic.name} has {count} partitions, not {topic.partitions}: counts are"
                " fixed for ever, so use another cluster or move the data to a new topic"
            )
    return [topic for topic in wanted if topic.name not in known]


async def _create(admin: AIOKafkaAdminClient, topics: list[Topic], replication: int) -> list[str]:
    if not topics:
        return []
    answer = await admin.create_topics(
        [
            NewTopic(topic.name, topic.partitions, replication, topic_configs=topic.config())
            for topic in topics
        ]
    )
    created = []
    for name, code, *detail in answer.topic_errors:
        error = for_code(code)
        if code == 0:
            created.append(name)
        elif error is not TopicAlreadyExistsError:
            raise ConfigError(
                f"topic {name}: {detail[0] if detail and detail[0] else error.__name__}"
            )
    return created

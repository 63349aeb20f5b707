"""An agent's stored history played again with another version of its file. Reads Kafka, writes nothing."""

from dataclasses import dataclass
from pathlib import Path

from aiokafka import TopicPartition

from ingest.agent_file import AgentFile
from ingest.keys import Keys
from ingest.reading import reader
from ingest.settings import Settings
from ingest.topics import INBOX
from stream.people import registration
from stream.replay import replay
from stream.replay.whatif import Differences, WhatIf
from tracefuse import wire
from tracefuse.errors import ConfigError
from tracefuse.signing import CommandVerifier


@dataclass(frozen=True, slots=True)
class Played:
    """What was played, and what would have been otherwise."""

    differences: Differences
    version: int | None  # of the file that was in force then
    begins: float  # record time (s) of the first record that was read
    cut: bool  # whether older records are gone, so that the detectors began cold


async def what_if(
    settings: Settings, keys: Keys, file: AgentFile, since: float, base: Path | None = None
) -> Played:
    """Decide an agent's history since a moment again, as if this file had come into force then.

    Parameters
    ----------
    file
        Checked, of any version; it is not signed, and comes into force nowhere.
    since
        Record time, s.
    base
        A saved point to begin from, of this build; else the log's beginning.

    Raises
    ------
    ConfigError
        To the operator: nothing is stored of that time, or the base is of another build.
    """
    key = wire.agent_key(file.tenant, file.agent)
    number = wire.partition_of(key)
    saved = replay.part(base, INBOX, number) if base else None
    known = (await registration.in_force(settings, keys)).get(key)
    place, begins, what = TopicPartition(INBOX, number), 0.0, None
    async with reader(settings.bootstrap) as consumer:
        consumer.assign([place])
        first = (await consumer.beginning_offsets([place]))[place]
        end = (await consumer.end_offsets([place]))[place]
        start = max(first, saved[0].offset + 1 if saved else 0)
        cut = first > 0 and saved is None
        what = WhatIf(
            number, CommandVerifier(keys.command_keys), file, since, known if cut else None, saved
        )
        consumer.seek(place, start)
        while await consumer.position(place) < end:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in (one for one in records if one.offset < end):
                    at = record.timestamp / 1000
                    begins = begins or at
                    what.apply(record.offset, at, record.headers, record.value)
    found = what.finish()
    if not found.runs:
        raise ConfigError(f"nothing is stored of {key} since then: nothing was compared")
    return Played(found, what.version, begins, cut)

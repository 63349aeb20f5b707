"""What the sink tells and asks ClickHouse: inserts, positions, known events. Blocks: call it in a thread.

All statements are constants with server-side parameters; no value ever becomes part of a text (F25).
"""

import threading
from collections.abc import Iterable, Sequence
from typing import Any

import clickhouse_connect
from clickhouse_connect.driver.client import Client

from ingest.settings import Settings
from stream.sink.columns import Block, names
from stream.sink.intake import Stored
from stream.sink.rows import DERIVED, SECOND, TABLES
from tracefuse.errors import ConfigError
from tracefuse.events import Event

CONNECT_SECONDS = 5
# A hung server is given up after this long; the block is then sent again with its token.
ANSWER_SECONDS = 30
# Ids of one look-up: 40 kB of parameters.
KNOWN_BATCH = 1000

# The sink needs the synchronous outcome, and one block per token (engineering facts §8).
INSERT = {
    "async_insert": 0,
    "wait_end_of_query": 1,
    "deduplicate_insert": "enable",
    "deduplicate_blocks_in_dependent_materialized_views": 1,
}

# Times are whole, aware and in the primary key, so these read the newest rows only. Eight days: what a
# worker computes again after an outage lies within Kafka's seven.
_SINCE = "_at >= (SELECT max(_at) - INTERVAL 8 DAY FROM {table:Identifier})"
_POSITIONS = (
    "SELECT _partition, max(_offset) FROM {table:Identifier}"
    " WHERE _topic = {topic:String} AND _partition IN {partitions:Array(UInt16)}"
)
_NEWEST_POSITIONS = _POSITIONS + " AND " + _SINCE + " GROUP BY _partition"
_ALL_POSITIONS = _POSITIONS + " GROUP BY _partition"
_MARKS = (
    ", _partition, _src_topic, _src_partition, max((_src_offset, _src_line, _src_n))"
    " FROM {table:Identifier} WHERE _topic = {topic:String} AND _src_topic != ''"
    " AND _partition IN {partitions:Array(UInt16)} AND " + _SINCE + " GROUP BY ALL"
)
_MARKS_OF = {
    table: "SELECT " + ("record" if table == "control_log" else "''") + _MARKS for table in DERIVED
}
_KNOWN = (
    "SELECT event_id FROM events WHERE tenant IN {tenants:Array(String)}"
    " AND agent_id IN {agents:Array(String)} AND event_id IN {ids:Array(String)}"
    " AND _at >= now() - INTERVAL 14 DAY"  # a spool keeps what Kafka keeps, and as long again
)
_TYPES = (
    "SELECT table, name, type FROM system.columns"
    " WHERE database = currentDatabase() AND default_kind != 'ALIAS'"
)


class Tables:
    """The tables of one database. Threads may share it.

    Parameters
    ----------
    settings
        Where ClickHouse is and who asks.

    Raises
    ------
    ConfigError
        To the operator, by the first call that reaches the server: the schema is another version's.
    Exception
        Whatever the driver raises when the server is away, refuses or is silent. The caller repeats
        the call: all of them may be repeated.
    """

    def __init__(self, settings: Settings):
        self._settings = settings
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._types: dict[str, dict[str, str]] = {}

    def insert(self, block: Block, token: str) -> None:
        """One block, stored at most once under its token however often it is sent."""
        client, types = self._connected(), self._types[block.table]
        columns = block.columns()
        data = list(columns.values())
        try:
            client.insert(
                block.table,
                data,
                column_names=list(columns),
                column_type_names=[types[name] for name in columns],
                column_oriented=True,
                settings={**INSERT, "insert_deduplication_token": token},
            )
        finally:
            # The driver's context refers to itself and to this list: the columns, 3 kB an event, would stay
            # until cycles are collected, which is seldom here.
            data.clear()

    def stored(self, topic: str, partitions: Sequence[int]) -> dict[int, Stored]:
        """What is held of these partitions of a topic."""
        tables = [TABLES[topic], *([SECOND[topic]] if topic in SECOND else [])]
        offsets: dict[int, dict[str, int]] = {partition: {} for partition in partitions}
        for table in tables:
            for partition, offset in self._offsets(table, topic, partitions).items():
                offsets[partition][table] = offset
        marks: dict[int, dict[tuple[str, str, int], tuple[int, int, int]]] = {}
        if TABLES[topic] in DERIVED:
            asked = {"table": TABLES[topic], "topic": topic, "partitions": list(partitions)}
            found = self._query(_MARKS_OF[TABLES[topic]], asked)
            for order, partition, src_topic, src_partition, mark in found:
                marks.setdefault(partition, {})[order, src_topic, src_partition] = mark
        return {p: Stored(offsets[p], marks.get(p, {})) for p in partitions}

    def known(self, events: Iterable[Event]) -> set[str]:
        """Ids of those events that are stored."""
        found: set[str] = set()
        events = list(events)
        for start in range(0, len(events), KNOWN_BATCH):
            batch = events[start : start + KNOWN_BATCH]
            asked = {
                "tenants": sorted({event.tenant for event in batch}),
                "agents": sorted({event.agent_id for event in batch}),
                "ids": [event.event_id for event in batch],
            }
            found |= {event_id for (event_id,) in self._query(_KNOWN, asked)}
        return found

    def close(self) -> None:
        """Drop the connection."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _offsets(self, table: str, topic: str, partitions: Sequence[int]) -> dict[int, int]:
        """Highest offsets; partitions without a new row are looked for among all rows."""
        asked = {"table": table, "topic": topic, "partitions": list(partitions)}
        found: dict[int, int] = dict(self._query(_NEWEST_POSITIONS, asked))
        missing = [partition for partition in partitions if partition not in found]
        if missing:
            asked["partitions"] = missing
            found |= dict(self._query(_ALL_POSITIONS, asked))
        return found

    def _query(self, statement: str, parameters: dict[str, Any]) -> Any:
        return self._connected().query(statement, parameters=parameters).result_rows

    def _connected(self) -> Client:
        with self._lock:
            if self._client is None:
                client = _connect(self._settings)
                self._types = _checked(client)
                self._client = client
            return self._client


def _connect(settings: Settings) -> Client:
    host, _, port = settings.clickhouse.rpartition(":")
    return clickhouse_connect.get_client(
        host=host,
        port=int(port),
        username=settings.clickhouse_user,
        password=settings.clickhouse_password,
        database=settings.clickhouse_database,
        connect_timeout=CONNECT_SECONDS,
        send_receive_timeout=ANSWER_SECONDS,
        autogenerate_session_id=False,  # a session would let one statement run at a time
        compress=False,  # packing costs both sides more than the way between them
        form_encode_query_params=True,  # a look-up's ids are too long for a URL
        query_limit=0,
    )


def _checked(client: Client) -> dict[str, dict[str, str]]:
    """Types by table and column, once the tables are as this code knows them."""
    types: dict[str, dict[str, str]] = {}
    for table, name, kind in client.query(_TYPES).result_rows:
        types.setdefault(table, {})[name] = kind
    for table in (*TABLES.values(), *SECOND.values()):
        if set(types.get(table, ())) != set(names(table)):
            raise ConfigError(
                f"table {table} of ClickHouse has other columns than this version: run the migrations"
            )
    return types

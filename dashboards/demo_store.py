"""What the store holds of one demo, asked in SQL. The demo's tenant is its own, so nothing else counts."""

from typing import Any

from clickhouse_connect.driver.client import Client

from dashboards.demo_facts import Answered, Found, Ordered, Quantiles, Refused, Stored
from ingest.topics import EVENTS

# A tenant's rows are few and recent; all answers together take milliseconds.
_EVENTS = """
SELECT count(), uniqExact(event_id), uniqExact(_partition, _offset)
FROM events WHERE tenant = {tenant:String}
"""
_NEWEST = (
    "SELECT toUnixTimestamp64Micro(max(emitted_at)) FROM events WHERE tenant = {tenant:String}"
)
# A dead letter that names no tenant could be anybody's: then those of the demo's time count.
_DEAD = """
SELECT sum(length(splitByChar('\n', trimRight(raw)))) FROM dead_letters
WHERE _src_topic = {topic:String} AND _at >= fromUnixTimestamp64Micro({since:Int64})
    AND (position(raw, '"tenant"') = 0 OR position(raw, concat('"', {tenant:String}, '"')) > 0)
"""
_ORDERS = """
SELECT cmd_id, scope, state, rule, toUnixTimestamp64Milli(_at) * 1000,
    toUnixTimestamp64Micro(last_emitted_at), interval_ms
FROM control_log WHERE tenant = {tenant:String} AND record = 'command' ORDER BY _at, _offset
"""
_ACKS = """
SELECT cmd_id, min(toUnixTimestamp64Milli(at)) * 1000
FROM control_log WHERE tenant = {tenant:String} AND record = 'ack' GROUP BY cmd_id
"""
_SIGNALS = """
SELECT agent_id, detector, toUnixTimestamp64Milli(at) * 1000, cmd_id, incident
FROM signals LEFT JOIN (
    SELECT signal_id, any(incident_id) AS incident
    FROM incidents WHERE tenant = {tenant:String} GROUP BY signal_id
) AS told USING signal_id
WHERE tenant = {tenant:String} ORDER BY at
"""
# A cause belongs to agents: those whose alarms it was made of, and those that joined it.
_CAUSES = """
SELECT agent_id, 'shared_cause',
    greatest(toUnixTimestamp64Milli(opened_at), toUnixTimestamp64Milli(alarmed_at)) * 1000,
    '', incident_id
FROM shared_causes WHERE tenant = {tenant:String} ORDER BY alarmed_at
"""
# Contention is nobody's own: its sentence names the agents that were in each other's way.
_IN_THE_WAY = """
SELECT agents.agent_id, 'contention', toUnixTimestamp64Milli(opened_at) * 1000, '', incident_id
FROM incidents, (SELECT DISTINCT agent_id FROM events WHERE tenant = {tenant:String}) AS agents
WHERE tenant = {tenant:String} AND detector = 'contention'
    AND has(extractAll(sentence, '[A-Za-z0-9_-]+'), agents.agent_id)
ORDER BY opened_at, agents.agent_id
"""
_REFUSED = "SELECT agent_id, trace_id, gate FROM why_refused WHERE tenant = {tenant:String}"
_ANSWERS = """
SELECT agent_id, trace_id, word, toUnixTimestamp64Milli(at) * 1000
FROM approvals WHERE tenant = {tenant:String} AND record = 'outcome' ORDER BY at
"""
_MALFORMED = """
SELECT DISTINCT agent_id, trace_id FROM events
WHERE tenant = {tenant:String} AND name = 'output' AND status = 'error'
"""
_SIZES = """
SELECT (SELECT count() FROM events WHERE tenant = {tenant:String}),
    (SELECT count() FROM steps WHERE tenant = {tenant:String}),
    (SELECT count() FROM signals WHERE tenant = {tenant:String}),
    (SELECT count() FROM control_log WHERE tenant = {tenant:String}),
    (SELECT count() FROM incidents WHERE tenant = {tenant:String}),
    (SELECT count() FROM verdicts WHERE tenant = {tenant:String}),
    (SELECT count() FROM approvals WHERE tenant = {tenant:String})
"""
_ALARMS = """
SELECT agent_id, detector, argMin(sentence, opened_at),
    toUnixTimestamp64Milli(min(opened_at)) * 1000
FROM incidents WHERE tenant = {tenant:String} AND cmd_id = ''
GROUP BY agent_id, detector ORDER BY min(opened_at)
"""


class DemoStore:
    """Questions about one tenant.

    Parameters
    ----------
    client
        A connection to ClickHouse; not closed here.
    since_us
        When the demo began, µs of the wall clock.
    """

    def __init__(self, client: Client, tenant: str, since_us: int):
        self._client = client
        self._parameters = {"tenant": tenant, "since": since_us, "topic": EVENTS}

    def sizes(self) -> tuple[int, ...]:
        """Rows of events, steps, signals, control log, incidents, verdicts, approvals."""
        return tuple(self._rows(_SIZES)[0])

    def newest(self) -> int:
        """When the newest stored event was emitted, µs; 0 before the first."""
        return int(self._rows(_NEWEST)[0][0])

    def alarms(self) -> list[tuple[str, str, str, int]]:
        """First incident without a command by agent and detector, with its sentence and time, µs."""
        return [tuple(row) for row in self._rows(_ALARMS)]

    def facts(self, lags_ms: Quantiles) -> Stored:
        """Everything that the report needs of the store."""
        rows, unique, records = self._rows(_EVENTS)[0]
        return Stored(
            rows=rows,
            unique=unique,
            records=records,
            dead_lettered=int(self._rows(_DEAD)[0][0]),
            orders=[Ordered(*row) for row in self._rows(_ORDERS)],
            acknowledged=dict(self._rows(_ACKS)),
            signals=[
                Found(*row) for sql in (_SIGNALS, _CAUSES, _IN_THE_WAY) for row in self._rows(sql)
            ],
            lags_ms=lags_ms,
            refusals=[Refused(*row) for row in self._rows(_REFUSED)],
            answers=[Answered(*row) for row in self._rows(_ANSWERS)],
            malformed=[tuple(row) for row in self._rows(_MALFORMED)],
        )

    def _rows(self, sql: str) -> Any:
        return self._client.query(sql, parameters=self._parameters).result_rows

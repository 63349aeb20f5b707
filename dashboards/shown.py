"""What an agent has shown, as ClickHouse remembers it: the proof that gates are asked about.

A run counts once it has ended. It went well if it ended with status `ok`, none of its calls was refused by
a breaker, nothing that it did tripped one, and nobody stopped it. A call that a gate of the policy denied,
or a person refused, says nothing against it. Probes are not counted. A run that
never said that it ended did not go well: its process has said nothing for `LOST_SECONDS` while others spoke.
"""

from collections.abc import Collection

from clickhouse_connect.driver.client import Client

from stream.people.proving import Shown

HOLDS_ROLLOUT = ("canary_mix", "task_drift")
"""What no stage of a roll-out is passed with, until a person has judged it."""
LOST_SECONDS = 60  # six of the heartbeats that a process sends between its runs

_RUNS = """
WITH
runs AS (
    SELECT
        trace_id, anyIf(boot_id, name = 'run.start') AS boot,
        countIf(name = 'run.end') AS ends, maxIf(_at, name = 'run.end') AS ended,
        countIf(name = 'run.end' AND status != 'ok') AS failed,
        countIf(status = 'not_run' AND (error_type = 'CircuitOpen'
            OR JSONExtractString(raw, 'attrs', 'gate') = 'stopped')) AS refused
    FROM events
    WHERE tenant = {tenant:String} AND agent_id = {agent:String}
        AND _at >= fromUnixTimestamp64Milli({since:Int64})
        AND name IN ('run.start', 'run.end', 'tool.result', 'llm.response')
        AND ({environment:String} = '' OR environment = {environment:String})
        AND ({bundle:String} = '' OR bundle = {bundle:String})
        AND NOT (position(raw, '"probe":') > 0 AND JSONHas(raw, 'attrs', 'probe'))
    GROUP BY trace_id
    HAVING countIf(name = 'run.start') > 0
),
processes AS (
    SELECT boot_id AS boot, max(_at) AS heard
    FROM events
    WHERE tenant = {tenant:String} AND agent_id = {agent:String}
        AND _at >= fromUnixTimestamp64Milli({since:Int64})
    GROUP BY boot
),
stops AS (
    SELECT trace_id
    FROM signals
    WHERE tenant = {tenant:String} AND agent_id = {agent:String} AND cmd_id != ''
    UNION ALL
    SELECT trace_id
    FROM control_log
    WHERE tenant = {tenant:String} AND agent_id = {agent:String} AND scope_kind = 'run'
        AND record = 'command' AND mode = 'enforce' AND state IN ('open', 'forced_open')
),
newest AS (SELECT max(_at) AS at FROM events WHERE _at >= now() - INTERVAL 1 DAY),
judged AS (
    SELECT
        ends = 0 AND heard < (SELECT at FROM newest) - toIntervalSecond({lost:UInt32}) AS lost,
        ends > 0 AND failed = 0 AND refused = 0 AND trace_id NOT IN (SELECT trace_id FROM stops) AS well,
        ends, ended
    FROM runs
    LEFT JOIN processes ON runs.boot = processes.boot
)
SELECT countIf(ends > 0 OR lost), countIf(well), uniqExactIf(toDate(ended), ends > 0), countIf(lost)
FROM judged
"""
_STANDING = "SELECT scope FROM open_breakers WHERE scope IN {scopes:Array(String)} ORDER BY scope"
# What a person called false, or an expected change, no longer stands. Older ones have had their time.
_AGAINST = """
SELECT detector, any(opened.incident_id)
FROM signals
LEFT JOIN (SELECT signal_id, incident_id FROM incidents) AS opened USING (signal_id)
WHERE tenant = {tenant:String} AND agent_id = {agent:String}
    AND detector IN {detectors:Array(String)} AND _at >= now() - INTERVAL 30 DAY
    AND JSONExtractString(evidence, 'bundle') IN ('', {bundle:String})
    AND (detector != 'task_drift' OR action = 'rollback' OR JSONExtractString(evidence, 'rollout') != '')
    AND signal_id NOT IN (
        SELECT signal_id FROM incident_labels
        WHERE tenant = {tenant:String} AND agent_id = {agent:String} AND label IN ('false', 'expected')
    )
GROUP BY signal_id, detector
ORDER BY detector, signal_id
"""


def shown(
    client: Client,
    tenant: str,
    agent: str,
    *,
    environment: str = "",
    bundle: str = "",
    since: float = 0.0,
    measured: Collection[str] = (),
) -> Shown:
    """What an agent's runs have shown.

    Parameters
    ----------
    environment, bundle
        Of these runs alone; empty for all.
    since
        Runs that began later (s, UTC, by the broker's clock).
    measured
        Detectors whose findings the agent's file only measures: they hold nothing up.
    """
    told = {
        "tenant": tenant, "agent": agent, "environment": environment, "bundle": bundle,
        "since": round(since * 1000), "lost": LOST_SECONDS,
    }  # fmt: skip
    ((runs, well, days, lost),) = client.query(_RUNS, parameters=told).result_rows
    scopes = [f"agent:{tenant}/{agent}", f"bundle:{tenant}/{agent}/{bundle}"]
    standing = client.query(_STANDING, parameters={"scopes": scopes}).result_rows
    asked = told | {"detectors": [one for one in HOLDS_ROLLOUT if one not in measured]}
    against = client.query(_AGAINST, parameters=asked).result_rows
    return Shown(
        runs, well, days, lost, tuple(dict.fromkeys(scope for (scope,) in standing)),
        tuple((detector, incident) for detector, incident in against),
    )  # fmt: skip

"""The fleet at one look: is it alive, who is stopped and why, who spends, what is slow.

`python -m dashboards.grafana.fleet` writes the JSON beside it, which Grafana reads; a test keeps the two
equal, runs each SQL on the real schema and looks up each metric in the catalogue.
"""

import json
from pathlib import Path

from dashboards.grafana.panels import (
    CLICKHOUSE,
    Json,
    bars,
    lines,
    place,
    prometheus,
    ranking,
    sql,
    stat,
    table,
)

FILE = Path(__file__).parent / "dashboards" / "fleet.json"
UID = "tracefuse-fleet"

# Names come from agents. Only tame ones are offered, so that no name can end the quotes that Grafana
# puts around it.
TENANTS = """
SELECT DISTINCT tenant FROM events
WHERE _at >= now() - INTERVAL 7 DAY AND match(tenant, '^[A-Za-z0-9._-]+$')
ORDER BY tenant
"""
_TENANT = "tenant IN (${tenant:singlequote})"

_BOUND = f"({_TENANT} OR scope = 'fleet')"  # a stop of everything is every tenant's

OPEN_COUNT = f"SELECT count() AS open FROM open_breakers WHERE {_BOUND}"
OPEN_BREAKERS = f"""
SELECT * FROM open_breakers WHERE {_BOUND} LIMIT 200
"""
TRIPS = f"""
SELECT $__timeInterval(_at) AS time, rule, uniqExact(cmd_id) AS trips
FROM control_log
WHERE $__timeFilter(_at) AND {_TENANT}
    AND record = 'command' AND author = 'auto' AND state IN ('open', 'throttled')
GROUP BY time, rule
ORDER BY time
"""
# Both times are the agent's own, so two clocks never meet.
_STOPS = f"""
SELECT acks._at AS at, dateDiff('microsecond', emitted, applied_at) / 1e6 AS seconds
FROM
(
    SELECT cmd_id, any(last_emitted_at) AS emitted
    FROM control_log
    WHERE $__timeFilter(_at) AND {_TENANT} AND record = 'command' AND author = 'auto'
        AND state = 'open' AND last_emitted_at > toDateTime64(0, 6)
    GROUP BY cmd_id
) AS commands
INNER JOIN
(
    SELECT cmd_id, applied_at, _at FROM control_log
    WHERE $__timeFilter(_at) AND {_TENANT} AND record = 'ack'
) AS acks USING (cmd_id)
"""
STOP_NOW = f"SELECT quantileExact(0.99)(seconds) AS p99 FROM ({_STOPS})"
STOP_SECONDS = f"""
SELECT $__timeInterval(at) AS time, quantileExact(0.5)(seconds) AS p50,
    quantileExact(0.99)(seconds) AS p99
FROM ({_STOPS})
GROUP BY time
ORDER BY time
"""
COST = f"""
SELECT concat(tenant, '/', agent_id) AS agent, round(sum(cost_usd), 4) AS usd
FROM events
WHERE $__timeFilter(_at) AND {_TENANT}
GROUP BY agent
HAVING usd > 0
ORDER BY usd DESC
LIMIT 10
"""
ERRORS = f"""
SELECT $__timeInterval(_at) AS time, error_type, count() AS errors
FROM events
WHERE $__timeFilter(_at) AND {_TENANT} AND error_type != ''
GROUP BY time, error_type
ORDER BY time
"""
FAILING = f"""
SELECT concat(tenant, '/', agent_id, ' ', tool) AS who,
    countIf(error_type != '') / count() AS failed
FROM events
WHERE $__timeFilter(_at) AND {_TENANT} AND name = 'tool.result'
GROUP BY who
HAVING count() >= 20 AND failed > 0
ORDER BY failed DESC
LIMIT 10
"""
INCIDENTS = f"""
SELECT max(opened_at) AS opened, argMax(status, _at) AS state, any(severity) AS grade,
    concat(any(tenant), '/', any(agent_id)) AS agent, any(title) AS what, any(sentence) AS why,
    any(scope) AS stopped, any(owner) AS answers, any(trace_id) AS trace, incident_id
FROM incidents
WHERE $__timeFilter(_at) AND NOT muted AND {_TENANT}
GROUP BY incident_id
ORDER BY opened DESC
LIMIT 50
"""
REFUSED = f"""
SELECT max(refused_at) AS last, concat(tenant, '/', agent_id) AS agent, tool, word, gate,
    any(reason) AS why, count() AS calls, argMax(trace_id, refused_at) AS trace
FROM why_refused
WHERE $__timeFilter(refused_at) AND {_TENANT}
GROUP BY agent, tool, word, gate
ORDER BY last DESC
LIMIT 50
"""


def quantile(metric: str, by: str = "") -> str:
    """p99 of a histogram of the catalogue."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile(0.99, sum by ({labels}) (rate({metric}_bucket[5m])))"


def build() -> Json:
    """The dashboard as Grafana takes it."""
    return {
        "uid": UID,
        "title": "Tracefuse: the fleet",
        "tags": ["tracefuse"],
        "timezone": "utc",
        "schemaVersion": 39,
        "version": 1,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "editable": False,
        "templating": {"list": [_tenants()]},
        "panels": place(
            [_now(), _flow(), _stops(), _trips(), _agents(), _incidents(), _refused(), _pipeline()]
        ),
    }


def _tenants() -> Json:
    return {
        "name": "tenant",
        "label": "Tenant",
        "type": "query",
        "datasource": CLICKHOUSE,
        "query": TENANTS.strip(),
        "refresh": 2,  # whenever the time range changes
        "multi": True,
        "includeAll": True,
        "current": {"text": ["All"], "value": ["$__all"]},
    }


Row = list[tuple[int, Json]]


def _now() -> Row:
    stopped = "sum(increase(tracefuse_missing_acknowledgements_total[1h]))"
    return [
        (5, stat("Events", "Joined per second.",
                 prometheus("sum(rate(tracefuse_events_total[1m]))"), "eps")),
        (5, stat("Open breakers", "Scopes that may not act now.", sql(OPEN_COUNT), bad=1)),
        (5, stat("Detect to stop, p99", "From the last event in evidence to the agent's gate.",
                 sql(STOP_NOW), "s", bad=0.1)),
        (5, stat("Not acknowledged", "Commands without an answer, last hour.",
                 prometheus(stopped), bad=1)),
        (4, stat("Lag", "Records that wait for a stage.",
                 prometheus("sum(tracefuse_lag_records)"), bad=10_000)),
    ]  # fmt: skip


def _flow() -> Row:
    return [
        (8, lines("Throughput", "Events, steps and signals.", [
            prometheus("sum(rate(tracefuse_events_total[1m]))", "events"),
            prometheus("sum(rate(tracefuse_steps_total[1m]))", "steps"),
            prometheus("sum(rate(tracefuse_signals_total[1m]))", "signals"),
        ], "eps")),
        (8, lines("Lag", "Records that wait, by stage and topic.", [
            prometheus("sum by (stage, topic) (tracefuse_lag_records)", "{{stage}} {{topic}}"),
        ])),
        (8, lines("Stored", "Rows that ClickHouse confirmed, by table.", [
            prometheus("sum by (table) (rate(tracefuse_rows_total[1m]))", "{{table}}"),
        ], "eps")),
    ]  # fmt: skip


def _stops() -> Row:
    return [
        (24, table("Open breakers", "Who may not act, since when, by whose word.",
                   sql(OPEN_BREAKERS))),
    ]  # fmt: skip


def _trips() -> Row:
    return [
        (12, bars("Trips by rule", "Commands that stop or slow somebody, by the rule behind them.",
                  sql(TRIPS, "timeseries"))),
        (12, lines("Detect to stop", "From the last event in evidence to the agent's gate.",
                   [sql(STOP_SECONDS, "timeseries")], "s")),
    ]  # fmt: skip


def _agents() -> Row:
    return [
        (8, ranking("Cost", "USD of the ten agents that spent most.", sql(COST), "currencyUSD")),
        (8, bars("Errors", "By type, as agents reported them.", sql(ERRORS, "timeseries"))),
        (8, ranking("Failing tools", "Share of failed calls, from 20 calls on.",
                    sql(FAILING), "percentunit")),
    ]  # fmt: skip


def _incidents() -> Row:
    return [(24, table("Incidents", "The newest 50.", sql(INCIDENTS)))]


def _refused() -> Row:
    return [(24, table("Refused calls", "What did not run, by which gate and why.", sql(REFUSED)))]


def _pipeline() -> Row:
    return [
        (8, lines("Decisions, p99", "From a record to its acknowledged command.", [
            prometheus(quantile("tracefuse_decision_seconds"), "decision"),
            prometheus(quantile("tracefuse_batch_seconds", "stage"), "batch {{stage}}"),
        ], "s")),
        (8, lines("Saving, p99", "Checkpoints and inserts.", [
            prometheus(quantile("tracefuse_checkpoint_seconds"), "checkpoint"),
            prometheus(quantile("tracefuse_insert_seconds", "table"), "insert {{table}}"),
        ], "s")),
        (8, lines("Set aside", "Per minute: unreadable, unproved, dropped, undelivered.", [
            prometheus("sum by (reason) (rate(tracefuse_dead_letters_total[5m])) * 60",
                       "dead letter {{reason}}"),
            prometheus("sum(rate(tracefuse_quarantined_records_total[5m])) * 60", "quarantined"),
            prometheus("sum by (reason) (rate(tracefuse_dropped_rows_total[5m])) * 60",
                       "row {{reason}}"),
            prometheus("sum by (route) (rate(tracefuse_alerts_failed_total[5m])) * 60",
                       "alert {{route}}"),
        ])),
    ]  # fmt: skip


def text() -> str:
    """The JSON file's text."""
    return json.dumps(build(), indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")

-- One line an agent: what it did within the last hour of the broker's clock, and what was found.
CREATE OR REPLACE VIEW agent_last_hour AS
SELECT
    tenant, agent_id,
    sum(done) AS steps, sum(called) AS calls, sum(failed) AS errors,
    if(calls > 0, errors / calls, 0) AS error_ratio,
    sum(usd) AS cost_usd, sum(tokens) AS tokens,
    quantileIf(0.5)(seconds, called > 0) AS latency_p50_seconds,
    quantileIf(0.95)(seconds, called > 0) AS latency_p95_seconds,
    sum(found) AS signals, max(seen) AS last_seen
FROM
(
    SELECT
        tenant, agent_id, 1 AS done, action IN ('tool', 'llm') AND status != 'not_run' AS called,
        status = 'error' AS failed, cost_usd AS usd, input_tokens + output_tokens AS tokens,
        duration_us / 1e6 AS seconds, 0 AS found, at AS seen
    FROM steps
    WHERE _at >= now() - INTERVAL 1 HOUR AND phase = 'complete'
    ORDER BY revision DESC
    LIMIT 1 BY tenant, trace_id, step_id
    UNION ALL
    SELECT tenant, agent_id, 0, 0, 0, 0, 0, 0, 1, at
    FROM signals
    WHERE _at >= now() - INTERVAL 1 HOUR
)
GROUP BY tenant, agent_id;

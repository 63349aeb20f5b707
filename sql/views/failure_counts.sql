-- How often each kind of failure was found, per agent; `docs/failures.md` says what each of them is. A stop
-- is a signal that tripped a breaker; an incident is one that people were told of. Of the brake, which is of
-- a whole tenant, there are incidents only, without an agent.
CREATE OR REPLACE VIEW failure_counts AS
SELECT
    tenant, agent_id, detector AS failure,
    countIf(kind = 'signal') AS found,
    countIf(kind = 'signal' AND at > now() - INTERVAL 1 DAY) AS found_last_day,
    countIf(kind = 'signal' AND at > now() - INTERVAL 7 DAY) AS found_last_week,
    countIf(kind = 'signal' AND cmd_id != '') AS stops,
    uniqExactIf(id, kind = 'incident') AS incidents,
    uniqExactIf(trace_id, trace_id != '') AS runs,
    min(at) AS first_at, max(at) AS last_at
FROM
(
    SELECT tenant, agent_id, detector, 'signal' AS kind, signal_id AS id, cmd_id, trace_id, at FROM signals
    UNION ALL
    SELECT tenant, agent_id, detector, 'incident', incident_id, cmd_id, trace_id, opened_at FROM incidents
)
GROUP BY tenant, agent_id, detector;

-- Every stop as an auditor asks for it: what fired, its words and evidence, the command, whether and when
-- it was obeyed, and who answers for the agent. Seconds to acknowledge are by the broker's clock; detect to
-- stop is by the agent's own, from the last event in evidence to the gate's change of state.
CREATE OR REPLACE VIEW stopped_and_why AS
SELECT
    c.tenant AS tenant, c.agent_id AS agent_id,
    if(c.trace_id != '', c.trace_id, s.trace_id) AS trace_id,
    c.scope AS scope, c.state AS state, c.action AS action, c.author AS author, c.rule AS rule,
    if(s.sentence != '', s.sentence, c.text) AS sentence,
    c.evidence AS evidence_events, s.evidence AS evidence, s.score AS score,
    s.threshold AS threshold, s.severity AS severity, c.cmd_id AS cmd_id,
    c.commanded_at AS commanded_at,
    if(a.answers > 0, a.acknowledged_at, NULL) AS acknowledged_at,
    if(a.answers > 0, dateDiff('millisecond', c.commanded_at, a.acknowledged_at) / 1000, NULL)
        AS seconds_to_acknowledge,
    if(a.answers > 0 AND toUnixTimestamp64Micro(c.last_emitted_at) > 0,
        dateDiff('microsecond', c.last_emitted_at, a.applied_at) / 1e6, NULL)
        AS seconds_from_evidence_to_stop,
    i.incident_id AS incident_id, i.owner AS owner
FROM (SELECT * FROM commands WHERE state IN ('open', 'forced_open', 'throttled')) AS c
LEFT JOIN (SELECT * FROM signals WHERE cmd_id != '' ORDER BY _at LIMIT 1 BY cmd_id) AS s
    ON s.tenant = c.tenant AND s.cmd_id = c.cmd_id
LEFT JOIN
(
    SELECT
        cmd_id, count() AS answers, min(acknowledgements.acknowledged_at) AS acknowledged_at,
        min(acknowledgements.applied_at) AS applied_at
    FROM acknowledgements
    GROUP BY cmd_id
) AS a ON a.cmd_id = c.cmd_id
LEFT JOIN
(
    SELECT * FROM incidents WHERE cmd_id != '' ORDER BY _at DESC LIMIT 1 BY cmd_id
) AS i ON i.tenant = c.tenant AND i.cmd_id = c.cmd_id;

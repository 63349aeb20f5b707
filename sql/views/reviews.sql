-- Allowed calls that were put aside for a person, each once, with how many have judged it and how many of
-- them say that it should not have been allowed. What nobody has judged yet has `labels` = 0.
CREATE OR REPLACE VIEW reviews AS
SELECT
    s.tenant AS tenant, s.agent_id AS agent_id, s.trace_id AS trace_id, s.call_id AS call_id,
    s.tool AS tool, s.args_hash AS args_hash, s.decision_args AS decision_args,
    s.user_id AS user_id, s.task_type AS task_type, s.at AS sampled_at, l.labels AS labels,
    l.wrong AS wrong
FROM
(
    SELECT * FROM approvals WHERE record = 'sampled'
    ORDER BY _at DESC
    LIMIT 1 BY tenant, agent_id, trace_id, call_id
) AS s
LEFT JOIN
(
    SELECT tenant, agent_id, trace_id, call_id, count() AS labels, countIf(label = 'wrong') AS wrong
    FROM labels
    GROUP BY tenant, agent_id, trace_id, call_id
) AS l
    ON l.tenant = s.tenant AND l.agent_id = s.agent_id AND l.trace_id = s.trace_id
    AND l.call_id = s.call_id;

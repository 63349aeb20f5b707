-- Every call that was not simply let through, as its owner asks for it: the word, the gate and its reason,
-- what the call was, which gates had passed before, and what became of it: a `status` other than not_run
-- after deny is an agent that disobeyed. What the agent's own process refused (by its file, or because no
-- verdict came in time) has no such verdict, and stands here as the agent reported it.
CREATE OR REPLACE VIEW why_refused AS
SELECT
    v.tenant AS tenant, v.agent_id AS agent_id, v.trace_id AS trace_id, v.call_id AS call_id,
    v.attempt AS attempt, v.word AS word, v.gate AS gate, v.reason AS reason,
    v.approval_id AS approval_id, s.tool AS tool, s.args_hash AS args_hash, s.user_id AS user_id,
    s.task_type AS task_type, s.status AS status, g.evidence AS evidence, v._at AS refused_at
FROM (SELECT * FROM verdicts WHERE word != 'allow' AND attempt > 0) AS v
LEFT JOIN (SELECT * FROM steps_final WHERE action = 'tool') AS s
    ON s.tenant = v.tenant AND s.trace_id = v.trace_id AND s.call_id = v.call_id
LEFT JOIN (SELECT * FROM signals WHERE detector = 'policy') AS g
    ON g._src_topic = v._src_topic AND g._src_partition = v._src_partition
    AND g._src_offset = v._src_offset AND g._src_line = v._src_line
UNION ALL
SELECT
    tenant, agent_id, trace_id, call_id, toInt64(1), 'deny', JSONExtractString(raw, 'attrs', 'gate'),
    if(verdict_seen = 'none', 'no verdict came in time', 'refused in the agent''s own process'),
    '', tool, args_hash, user_id, task_type, status, '', _at
FROM events
WHERE name = 'tool.result' AND status = 'not_run' AND error_type = 'ToolDenied'
    AND verdict_seen IN ('', 'none');

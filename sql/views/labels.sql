-- What people say of allowed calls afterwards: of each person the newest word on each call.
CREATE OR REPLACE VIEW labels AS
SELECT
    tenant, agent_id, trace_id, call_id, tool, args_hash, word AS label, person, text AS note, kid,
    said_at, at
FROM approvals
WHERE record = 'label'
ORDER BY said_at DESC, _offset DESC
LIMIT 1 BY tenant, agent_id, trace_id, call_id, person;

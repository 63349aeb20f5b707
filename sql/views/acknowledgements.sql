-- Which agent obeyed which command. One agent may run as several processes, each of which answers.
CREATE OR REPLACE VIEW acknowledgements AS
SELECT
    tenant, agent_id, trace_id, scope_kind, scope, state, term, epoch, cmd_id, event_id,
    at AS acknowledged_at, applied_at
FROM control_log
WHERE record = 'ack';

-- Who commanded what, and why. A person's word may be written twice; it shows once.
CREATE OR REPLACE VIEW commands AS
SELECT
    tenant, agent_id, trace_id, scope_kind, scope, author, action, state, term, epoch, rule, text,
    evidence, mode, cmd_id, _at AS commanded_at, issued_at, expires_at, last_emitted_at, probes,
    interval_ms, kid, sig, raw
FROM control_log
WHERE record = 'command'
ORDER BY _at
LIMIT 1 BY scope, cmd_id;

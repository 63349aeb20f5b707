-- Scopes that are not closed: the newest command of each author. A run's breaker ends with its run.
CREATE OR REPLACE VIEW open_breakers AS
WITH
    newest AS
    (
        SELECT *
        FROM control_log
        WHERE record = 'command' AND mode = 'enforce'
        ORDER BY term DESC, epoch DESC, issued_at DESC
        LIMIT 1 BY scope, author
    ),
    standing AS (SELECT * FROM newest WHERE state != 'closed'),
    ended AS
    (
        SELECT tenant, agent_id, trace_id
        FROM events
        WHERE name = 'run.end' AND trace_id IN (SELECT trace_id FROM standing WHERE trace_id != '')
    )
SELECT
    tenant, agent_id, trace_id, scope_kind, scope, author, state, action, rule, text, cmd_id, term,
    epoch, _at AS since
FROM standing
WHERE (tenant, agent_id, trace_id) NOT IN (ended);

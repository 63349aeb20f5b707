-- What people say of incidents: of each incident the newest word of anybody, in the order in which the agent's
-- owner took them.
CREATE OR REPLACE VIEW incident_labels AS
SELECT
    tenant, agent_id, incident_id, signal_id, detector, word AS label, person, text AS reason, kid,
    said_at, at
FROM approvals
WHERE record = 'incident_label'
ORDER BY _offset DESC
LIMIT 1 BY tenant, agent_id, signal_id;

-- Each incident once for each agent that it is about, in its newest status: what concerns one agent, though
-- others have it in common.
CREATE OR REPLACE VIEW incidents_of_agents AS
SELECT
    i.tenant AS tenant,
    arrayJoin(if(empty(i.whom), [i.agent], i.whom)) AS agent_id,
    i.incident_id AS incident_id, i.state AS status, i.severity AS severity, i.rank AS rank,
    i.detector AS detector, i.node AS node, i.parent AS parent, i.sentence AS sentence,
    i.opened AS opened_at
FROM
(
    SELECT
        tenant, incident_id, any(agent_id) AS agent, argMax(agents, _at) AS whom,
        argMax(status, _at) AS state, any(incidents.severity) AS severity, max(incidents.rank) AS rank,
        any(incidents.detector) AS detector, any(incidents.node) AS node,
        argMax(incidents.parent, _at) AS parent, argMin(incidents.sentence, _at) AS sentence,
        min(opened_at) AS opened
    FROM incidents GROUP BY tenant, incident_id
) AS i
WHERE agent_id != '';

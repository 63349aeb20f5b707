-- Each incident of a node beside the incidents of agents that belong to it: those that it was made of, and
-- those that joined it while it was open.
CREATE OR REPLACE VIEW shared_causes AS
SELECT
    n.tenant AS tenant, n.node AS node, n.incident_id AS incident_id, n.state AS status,
    n.opened AS opened_at, n.words AS sentence,
    c.incident_id AS child, c.agent_id AS agent_id, c.detector AS detector, c.severity AS severity,
    c.sentence AS child_sentence, c.muted AS muted, c.opened_at AS alarmed_at
FROM
(
    SELECT
        tenant, node, incident_id, argMax(status, _at) AS state, min(opened_at) AS opened,
        argMin(sentence, _at) AS words, groupArrayArray(children) AS made_of
    FROM incidents WHERE node != '' GROUP BY tenant, node, incident_id
) AS n
INNER JOIN (SELECT * FROM incidents WHERE node = '') AS c ON c.tenant = n.tenant
WHERE c.parent = n.incident_id OR has(n.made_of, c.incident_id);

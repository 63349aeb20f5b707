-- How often the policy lets through what it should not: per agent and tool, how many allowed calls were put
-- aside, how many of these somebody has judged, and how many were wrong. A call is wrong where the newest
-- word of anybody says so. `wrong_share` is empty until something was judged: nothing measured is not zero.
CREATE OR REPLACE VIEW review_outcomes AS
SELECT
    tenant, agent_id, tool, countIf(put_aside) AS sampled,
    countIf(put_aside AND judged) AS labelled, countIf(put_aside AND wrong) AS judged_wrong,
    if(labelled > 0, judged_wrong / labelled, NULL) AS wrong_share
FROM
(
    SELECT
        tenant, agent_id, trace_id, call_id, any(tool) AS tool, max(aside) AS put_aside,
        max(word != '') AS judged, max(word = 'wrong') AS wrong
    FROM
    (
        SELECT tenant, agent_id, trace_id, call_id, tool, '' AS word, 1 AS aside
        FROM approvals WHERE record = 'sampled'
        UNION ALL
        SELECT tenant, agent_id, trace_id, call_id, tool, label AS word, 0 AS aside FROM labels
    )
    GROUP BY tenant, agent_id, trace_id, call_id
)
GROUP BY tenant, agent_id, tool;

-- Each run that was a probe: its set, how it went beside what its owner had written down, and what differed.
-- One that has not ended yet, or whose process died, is `open`.
CREATE OR REPLACE VIEW probe_results AS
SELECT
    r.tenant AS tenant, r.agent_id AS agent_id, splitByChar('/', r.name)[1] AS probe_set,
    splitByChar('/', r.name)[2] AS probe, r.bundle AS bundle, r.trace_id AS trace_id,
    multiIf(r.ended = 0, 'open', s.sentence != '', 'otherwise', 'as expected') AS result,
    s.sentence AS sentence, r.at AS at
FROM
(
    SELECT
        tenant, agent_id, trace_id, any(JSONExtractString(raw, 'attrs', 'probe')) AS name,
        any(events.bundle) AS bundle, countIf(events.name = 'run.end') AS ended, min(_at) AS at
    FROM events
    WHERE events.name IN ('run.start', 'run.end') AND position(raw, '"probe":') > 0
        AND JSONExtractString(raw, 'attrs', 'probe') != ''
    GROUP BY tenant, agent_id, trace_id
) AS r
LEFT JOIN
(
    SELECT tenant, agent_id, trace_id, any(sentence) AS sentence
    FROM signals
    WHERE detector = 'probe_drift'
    GROUP BY tenant, agent_id, trace_id
) AS s ON s.tenant = r.tenant AND s.agent_id = r.agent_id AND s.trace_id = r.trace_id;

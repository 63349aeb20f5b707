-- From when to when which version of an agent's file was in force, and the signed file itself. Of a version
-- that still is, `until` is the year 2299. Its `grants` say who decided on environments and bundles, and why.
CREATE OR REPLACE VIEW file_versions AS
SELECT
    tenant, agent_id, version, digest, at AS since,
    leadInFrame(at, 1, toDateTime64('2299-12-31 00:00:00', 3, 'UTC')) OVER (
        PARTITION BY tenant, agent_id ORDER BY at, version
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    ) AS until,
    JSONExtractRaw(raw, 'grants') AS grants, kid, sig, raw
FROM (
    SELECT * FROM agent_files
    ORDER BY _offset
    LIMIT 1 BY tenant, agent_id, version, digest
);

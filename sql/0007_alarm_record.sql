-- An alarm explains itself: why it weighs so, which risk it belongs to, which technique leaves such a trace.
ALTER TABLE signals
    ADD COLUMN IF NOT EXISTS why String AFTER cmd_id,
    ADD COLUMN IF NOT EXISTS owasp Array(LowCardinality(String)) AFTER why,
    ADD COLUMN IF NOT EXISTS atlas Array(LowCardinality(String)) AFTER owasp;

ALTER TABLE incidents
    ADD COLUMN IF NOT EXISTS why String AFTER routes,
    ADD COLUMN IF NOT EXISTS owasp Array(LowCardinality(String)) AFTER why,
    ADD COLUMN IF NOT EXISTS atlas Array(LowCardinality(String)) AFTER owasp;

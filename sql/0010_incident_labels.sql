-- What people say of incidents stands beside what they say of calls: `record` is `incident_label`, `word` is
-- real, false or expected. Views: `incident_labels`, `precision_of_detectors`.
ALTER TABLE approvals
    ADD COLUMN IF NOT EXISTS incident_id String,
    ADD COLUMN IF NOT EXISTS signal_id String,
    ADD COLUMN IF NOT EXISTS detector LowCardinality(String);

-- Many agents that alarm on one node (a tool, a model, a bundle, a rule of the tenant) are one incident. Its
-- first children stand in `children`, later ones name it as their `parent`; muted ones were told to nobody.
ALTER TABLE incidents
    ADD COLUMN IF NOT EXISTS node String AFTER candidate_share,
    ADD COLUMN IF NOT EXISTS children Array(String) AFTER node,
    ADD COLUMN IF NOT EXISTS parent String AFTER children,
    ADD COLUMN IF NOT EXISTS muted Bool AFTER parent;

ALTER TABLE signals
    ADD COLUMN IF NOT EXISTS model LowCardinality(String),
    ADD COLUMN IF NOT EXISTS bundle LowCardinality(String);

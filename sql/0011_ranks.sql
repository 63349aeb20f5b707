-- What to look at first: severity in whole numbers, how sure the detector can be behind the point. Rows from
-- before have 0.
ALTER TABLE signals
    ADD COLUMN IF NOT EXISTS rank Float64;

ALTER TABLE incidents
    ADD COLUMN IF NOT EXISTS rank Float64 AFTER muted;

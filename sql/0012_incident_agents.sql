-- Whom an incident is about: its agent, or those that have a cause, a thing or a brake in common. Rows from
-- before have none; the view `incidents_of_agents` takes their `agent_id`.
ALTER TABLE incidents
    ADD COLUMN IF NOT EXISTS agents Array(LowCardinality(String)) AFTER rank;

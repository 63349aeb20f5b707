-- Where the run behind an incident may have gone wrong first: agent, step, and that agent's share of the
-- evidence in the trace. A candidate is a place to begin to read, no cause. Empty without evidence.
ALTER TABLE incidents
    ADD COLUMN IF NOT EXISTS candidate_agent LowCardinality(String) AFTER opened_at,
    ADD COLUMN IF NOT EXISTS candidate_step String AFTER candidate_agent,
    ADD COLUMN IF NOT EXISTS candidate_share Float64 AFTER candidate_step;

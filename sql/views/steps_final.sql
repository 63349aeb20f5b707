-- Every step once, as it is known now. Totals of the run stand in `steps` alone: only records that
-- decisions were made from carry them, and a later revision does not.
CREATE OR REPLACE VIEW steps_final AS
SELECT * EXCEPT (
    run_steps, run_calls, run_errors, run_cost_micro, run_input_tokens, run_output_tokens,
    loop_period, loop_repeats, loop_count
)
FROM steps
ORDER BY revision DESC, phase = 'complete' DESC
LIMIT 1 BY tenant, trace_id, step_id;

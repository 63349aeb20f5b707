-- One trace in the order in which the broker took it: actions with the reasoning and context they were
-- decided in, and what was found, commanded and obeyed. Ask with `WHERE trace_id = …`, and `ORDER BY at`.
-- Lines of one record share its millisecond; their order within it stands in the microseconds.
CREATE OR REPLACE VIEW trace_timeline AS
SELECT
    e.tenant AS tenant, e.trace_id AS trace_id, e.at AS at, e.kind AS kind, e.agent_id AS agent_id,
    e.name AS name, e.detail AS detail, e.event_id AS id, e.span_id AS span_id,
    e.call_id AS call_id, s.step_id AS step_id, s.reasoning AS reasoning,
    s.reasoning_names AS reasoning_names, s.context AS context, s.context_names AS context_names,
    e.emitted_at AS emitted_at
FROM
(
    SELECT
        tenant, trace_id, kind, agent_id, name, event_id, span_id, call_id, emitted_at,
        toDateTime64(_at, 6, 'UTC') + toIntervalMicrosecond(least(999, row_number() OVER
            (PARTITION BY tenant, trace_id, _at ORDER BY _offset, _idx))) AS at,
        arrayStringConcat(arrayFilter(part -> part != '', [
            tool, model, status, error_type,
            if(duration_us > 0, concat(toString(round(duration_us / 1000, 1)), ' ms'), ''),
            if(cost_usd > 0, concat('$', toString(cost_usd)), ''),
            if(verdict_seen != '', concat('verdict ', verdict_seen), '')]), ' · ') AS detail
    FROM events
) AS e
LEFT JOIN
(
    SELECT
        tenant, trace_id, step_id, reasoning, reasoning_names, context, context_names,
        arrayJoin(arrayFilter(id -> id != '', [request_id, result_id])) AS event_id
    FROM steps_final
) AS s ON s.tenant = e.tenant AND s.trace_id = e.trace_id AND s.event_id = e.event_id
UNION ALL
SELECT
    tenant, trace_id, toDateTime64(_at, 6, 'UTC'), 'signal', agent_id, detector, sentence,
    signal_id, '', '', step_id, [], [], [], [], toDateTime64(0, 6, 'UTC')
FROM signals
UNION ALL
SELECT
    tenant, trace_id, toDateTime64(_at, 6, 'UTC'), if(record = 'ack', 'acknowledgement', record),
    agent_id, state, concat(scope, ' ', text), cmd_id, '', '', '', [], [], [], [], issued_at
FROM control_log
WHERE trace_id != ''
UNION ALL
SELECT
    s.tenant, s.trace_id, toDateTime64(c._at, 6, 'UTC'),
    if(c.record = 'ack', 'acknowledgement', c.record), c.agent_id, c.state,
    concat(c.scope, ' ', c.text), c.cmd_id, '', '', '', [], [], [], [], c.issued_at
FROM signals AS s
INNER JOIN control_log AS c ON c.tenant = s.tenant AND c.cmd_id = s.cmd_id
WHERE s.cmd_id != '' AND s.trace_id != '' AND c.trace_id = '';

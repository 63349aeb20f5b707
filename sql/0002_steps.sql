-- Steps as the join wrote them: every revision of an action at its place in Kafka. `steps_final` shows the
-- last one. `_src_*` names the line it was computed from; the sink drops what is not above the highest one.
CREATE TABLE IF NOT EXISTS steps
(
    step_id String,
    phase LowCardinality(String),
    revision UInt32,
    tenant LowCardinality(String),
    agent_id LowCardinality(String),
    trace_id String,
    span_id String,
    parent_span_id String,
    call_id String,
    environment LowCardinality(String),
    bundle LowCardinality(String),
    user_id String,
    session_id String,
    task_type LowCardinality(String),
    action LowCardinality(String),
    tool LowCardinality(String),
    model LowCardinality(String),
    status LowCardinality(String),
    error_type LowCardinality(String),
    duration_us Int64,
    input_tokens Int64,
    output_tokens Int64,
    cost_usd Float64,
    confidence Nullable(Float64),
    args_hash String,
    result_hash String,
    decision_args String,  -- JSON
    verdict_seen LowCardinality(String),
    reasoning Array(String),  -- event ids; their sketches stand in `events`
    reasoning_names Array(LowCardinality(String)),
    context Array(String),
    context_names Array(LowCardinality(String)),
    state_before String,
    state_after String,
    request_id String,
    result_id String,
    requested_at DateTime64(6, 'UTC'),  -- the agent's clock, 1970 where unknown
    completed_at DateTime64(6, 'UTC'),
    at DateTime64(3, 'UTC'),  -- the broker's time of the event behind it
    spooled Bool,
    late Bool,
    echo Bool,  -- a revision, without totals: nothing was decided from it
    run_steps Int64,  -- totals of this agent in this run when the record was written
    run_calls Int64,
    run_errors Int64,
    run_cost_micro Int64,
    run_input_tokens Int64,
    run_output_tokens Int64,
    loop_period UInt32,
    loop_repeats UInt32,
    loop_count UInt32,

    _src_topic LowCardinality(String),
    _src_partition Int32,
    _src_offset Int64,
    _src_line Int32,
    _src_n Int32,
    _topic LowCardinality(String),
    _partition UInt16,
    _offset Int64 CODEC(DoubleDelta, LZ4),
    _idx UInt32,
    _at DateTime64(3, 'UTC') CODEC(DoubleDelta, LZ4),

    INDEX by_trace trace_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(_at)
ORDER BY (tenant, agent_id, _at)
TTL toDateTime(_at) + INTERVAL 183 DAY
SETTINGS
    ttl_only_drop_parts = 1,
    min_parts_to_merge_at_once = 40,  -- as for events
    non_replicated_deduplication_window = 30000;

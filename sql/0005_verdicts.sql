-- What held calls were told: for each (call_id, attempt) one row. Attempt 0 is a person's answer, told to
-- the process that waits for it; `call_id` is then the approval's id. `raw` is the line as it travelled,
-- `kid` and `mac` prove that it is ours and whom it was for. Evidence stands in `signals`.
CREATE TABLE IF NOT EXISTS verdicts
(
    call_id String,
    attempt Int64,
    tenant LowCardinality(String),
    agent_id LowCardinality(String),
    trace_id String,
    boot_id String,  -- the process that asked
    word LowCardinality(String),  -- allow, deny, throttle, needs_approval
    gate LowCardinality(String),  -- of the policy, empty where all let it through
    reason String,
    delay_ms Int64,
    approval_id String,
    kid LowCardinality(String),
    mac String,  -- hex
    raw String CODEC(ZSTD(1)),

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

    INDEX by_trace trace_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_call call_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(_at)
ORDER BY (tenant, agent_id, _at)
TTL toDateTime(_at) + INTERVAL 183 DAY
SETTINGS
    ttl_only_drop_parts = 1,
    min_parts_to_merge_at_once = 40,  -- as for events
    non_replicated_deduplication_window = 30000;

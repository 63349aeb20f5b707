-- What was found, what was commanded and obeyed, and how people were told.
CREATE TABLE IF NOT EXISTS signals
(
    signal_id String,
    tenant LowCardinality(String),
    agent_id LowCardinality(String),
    trace_id String,
    step_id String,
    tool LowCardinality(String),
    detector LowCardinality(String),
    evidence_class LowCardinality(String),
    severity LowCardinality(String),
    action LowCardinality(String),  -- suggested
    status LowCardinality(String),
    score Float64,
    threshold Float64,
    n Int64,
    evidence String,  -- JSON
    sentence String,
    first_event String,
    last_event String,
    at DateTime64(3, 'UTC'),  -- record time
    scope String,  -- the breaker it tripped, empty where it tripped none
    cmd_id String,

    _src_topic LowCardinality(String),
    _src_partition Int32,
    _src_offset Int64,
    _src_line Int32,
    _src_n Int32,
    _topic LowCardinality(String),
    _partition UInt16,
    _offset Int64,
    _idx UInt32,
    _at DateTime64(3, 'UTC'),

    INDEX by_trace trace_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(_at)
ORDER BY (tenant, agent_id, _at)
TTL toDateTime(_at) + INTERVAL 183 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 30000;

-- Commands and acknowledgements in one order per scope, as their topic holds them. `raw` is the signed
-- payload, `kid` and `sig` prove its author: enough to verify a command without Kafka.
CREATE TABLE IF NOT EXISTS control_log
(
    record LowCardinality(String),  -- command, ack
    cmd_id String,
    scope String,
    scope_kind LowCardinality(String),
    tenant LowCardinality(String),
    agent_id LowCardinality(String),
    trace_id String,  -- of scope run
    author LowCardinality(String),
    action LowCardinality(String),
    state LowCardinality(String),
    term Int64,
    epoch Int64,
    rule LowCardinality(String),
    text String,
    evidence Array(String),  -- event ids
    last_emitted_at DateTime64(6, 'UTC'),  -- claimed: the last event in evidence
    issued_at DateTime64(6, 'UTC'),  -- the author's clock
    expires_at DateTime64(6, 'UTC'),  -- 1970: never
    mode LowCardinality(String),
    probes UInt32,
    interval_ms UInt32,
    event_id String,  -- of an acknowledgement
    applied_at DateTime64(6, 'UTC'),  -- the agent's clock, when its gate changed
    at DateTime64(3, 'UTC'),  -- record time of an acknowledgement
    kid LowCardinality(String),
    sig String,  -- hex
    raw String CODEC(ZSTD(1)),

    _src_topic LowCardinality(String),
    _src_partition Int32,
    _src_offset Int64,
    _src_line Int32,
    _src_n Int32,
    _topic LowCardinality(String),
    _partition UInt16,
    _offset Int64,
    _idx UInt32,
    _at DateTime64(3, 'UTC'),

    INDEX by_command cmd_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(_at)
ORDER BY (tenant, agent_id, scope, _at)
TTL toDateTime(_at) + INTERVAL 183 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 30000;

CREATE TABLE IF NOT EXISTS incidents
(
    incident_id String,
    tenant LowCardinality(String),
    agent_id LowCardinality(String),
    status LowCardinality(String),
    severity LowCardinality(String),
    title String,
    sentence String,
    detector LowCardinality(String),
    action LowCardinality(String),
    scope String,
    cmd_id String,
    trace_id String,
    signal_id String,
    first_event String,
    last_event String,
    owner LowCardinality(String),
    routes Array(String),
    opened_at DateTime64(3, 'UTC'),  -- record time
    raw String CODEC(ZSTD(1)),

    _src_topic LowCardinality(String),
    _src_partition Int32,
    _src_offset Int64,
    _src_line Int32,
    _src_n Int32,
    _topic LowCardinality(String),
    _partition UInt16,
    _offset Int64,
    _idx UInt32,
    _at DateTime64(3, 'UTC')
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(_at)
ORDER BY (tenant, agent_id, _at)
TTL toDateTime(_at) + INTERVAL 183 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 30000;

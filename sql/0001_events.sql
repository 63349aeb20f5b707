-- Events as agents claimed them, one row a line. The record's place in Kafka is the row's identity, and
-- its highest offset per partition is where the sink goes on: so this table belongs to one topic.
-- Types: what an agent may send must always fit, so claimed numbers are Int64 and texts are String.
-- JSON parts are read from `raw` when asked for: they cost nothing to insert and cannot differ from it.
CREATE TABLE IF NOT EXISTS events
(
    event_id String,
    schema_version LowCardinality(String) DEFAULT '1.0',
    kind LowCardinality(String),
    name LowCardinality(String),
    trace_id String,
    span_id String,
    parent_span_id String,
    call_id String,
    tenant LowCardinality(String),
    environment LowCardinality(String),
    agent_id LowCardinality(String),
    bundle LowCardinality(String),
    user_id String,
    session_id String,
    task_type LowCardinality(String),
    source LowCardinality(String),
    emitted_at DateTime64(6, 'UTC') CODEC(DoubleDelta, LZ4),  -- the agent's clock
    boot_id String,
    seq Int64,
    received_at DateTime64(6, 'UTC'),  -- the gateway's clock, 1970 where there was none
    tool LowCardinality(String),
    duration_us Int64,
    status LowCardinality(String),
    error_type LowCardinality(String),
    input_tokens Int64,
    output_tokens Int64,
    cost_usd Float64,
    confidence Nullable(Float64),
    args_hash String,
    result_hash String,
    fingerprints_cut Bool,
    verdict_seen LowCardinality(String),
    data_classes Array(LowCardinality(String)),
    model LowCardinality(String),
    prompt_hash String,
    tools_hash String,
    policy_hash String,
    truncated Bool,

    raw String CODEC(ZSTD(1)),  -- the line, byte for byte
    spooled Bool,  -- waited on the agent's disk
    skewed Bool,  -- the agent's clock is over 5 min off the broker's
    _topic LowCardinality(String),
    _partition UInt16,
    _offset Int64 CODEC(DoubleDelta, LZ4),
    _idx UInt32,  -- line within the record
    _at DateTime64(3, 'UTC') CODEC(DoubleDelta, LZ4),  -- the broker's clock: the pipeline's time

    fingerprints Array(Tuple(hash String, class String, path String, start Int64, end Int64))
        ALIAS JSONExtract(raw, 'fingerprints', 'Array(Tuple(String, String, String, Int64, Int64))'),
    sketches String ALIAS JSONExtractRaw(raw, 'sketches'),
    decision_args String ALIAS JSONExtractRaw(raw, 'decision_args'),
    control_seen String ALIAS JSONExtractRaw(raw, 'control_seen'),
    attrs String ALIAS JSONExtractRaw(raw, 'attrs'),
    content_kid String ALIAS JSONExtractString(raw, 'content', 'kid'),
    content_nonce String ALIAS JSONExtractString(raw, 'content', 'nonce'),
    content_data String ALIAS JSONExtractString(raw, 'content', 'data'),

    INDEX by_trace trace_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_event event_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(_at)
ORDER BY (tenant, agent_id, _at)
TTL toDateTime(_at) + INTERVAL 183 DAY  -- EU AI Act Art. 19: at least six months
SETTINGS
    ttl_only_drop_parts = 1,
    min_parts_to_merge_at_once = 40,  -- small steady inserts: a third of the CPU of eager merges
    -- Blocks: longer than a writer taken for dead can hold one back.
    non_replicated_deduplication_window = 30000;

-- Lines of a later major schema, kept whole until this version can read them.
CREATE TABLE IF NOT EXISTS events_raw
(
    schema_version LowCardinality(String),
    tenant LowCardinality(String),  -- as the envelope proved
    agent_id LowCardinality(String),
    raw String CODEC(ZSTD(1)),
    spooled Bool,
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

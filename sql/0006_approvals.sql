-- What people are asked, and what they say: calls that wait for somebody and how that ended (`wanted`,
-- `outcome`), allowed calls that are looked at afterwards and how they were judged (`sampled`, `label`).
-- Only what the agent's owner has checked stands here. Views: `labels`, `reviews`, `review_outcomes`.
CREATE TABLE IF NOT EXISTS approvals
(
    record LowCardinality(String),  -- wanted, outcome, sampled, label
    approval_id String,  -- of a call that waits
    tenant LowCardinality(String),
    agent_id LowCardinality(String),
    trace_id String,
    call_id String,
    tool LowCardinality(String),
    args_hash String,
    decision_args String,  -- JSON
    user_id String,  -- who asked the agent
    task_type LowCardinality(String),
    rule LowCardinality(String),
    word LowCardinality(String),  -- approved, refused, expired; right, wrong
    person LowCardinality(String),
    text String,  -- why it was asked, or what the person said
    approvers Array(String),
    kid LowCardinality(String),  -- of the key that signed
    said_at DateTime64(6, 'UTC'),  -- of a label: the person's clock
    at DateTime64(3, 'UTC'),  -- record time
    expires_at DateTime64(3, 'UTC'),
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

    INDEX by_call call_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(_at)
ORDER BY (tenant, agent_id, record, _at)
TTL toDateTime(_at) + INTERVAL 183 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 30000;

-- What could not be read or proved, byte for byte, with its origin and reason. Both topics, told apart by
-- `_topic`: agent.dlq.v1 holds lines that are no events, agent.quarantine.v1 those of doubtful origin.
-- The bytes stay base64: they need not be UTF-8, and most readers of this table only show text.
CREATE TABLE IF NOT EXISTS dead_letters
(
    reason LowCardinality(String),
    detail String,
    sha256 String,  -- hex, of the original bytes
    raw_base64 String CODEC(ZSTD(1)),
    headers String,  -- JSON

    _src_topic LowCardinality(String),  -- where it was read
    _src_partition Int32,
    _src_offset Int64,
    _src_line Int32,
    _src_n Int32,
    _topic LowCardinality(String),
    _partition UInt16,
    _offset Int64,
    _idx UInt32,
    _at DateTime64(3, 'UTC'),

    raw String ALIAS base64Decode(raw_base64)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(_at)
ORDER BY (_topic, reason, _at)
TTL toDateTime(_at) + INTERVAL 183 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 30000;

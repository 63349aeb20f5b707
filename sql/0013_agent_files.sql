-- Versions of agents' files, as they came into force. `raw` is the signed file, `kid` and `sig` (over key id,
-- `TENANT/AGENT` and `raw`) prove who published it. Nothing is ever dropped: a version may be in force for
-- years, and an incident of today is judged by it. A worker that repeats itself may write a row twice.
CREATE TABLE IF NOT EXISTS agent_files
(
    tenant LowCardinality(String),
    agent_id LowCardinality(String),
    version Int64,
    digest String,
    at DateTime64(3, 'UTC'),  -- record time
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
    _at DateTime64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY (tenant, agent_id, version)
SETTINGS non_replicated_deduplication_window = 30000;

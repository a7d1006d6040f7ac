-- The views: every table is a fold of the log and carries, per row, the (partition, offset) that made it.
-- Statements are separated by a line that holds only a semicolon.

-- One row a run, whole; a newer row (higher offset, same partition) replaces an older one.
-- created is false while only later events of the run have come. params and tags are the run's current ones; writers is the last sequence seen from each writer of the run.
-- inputs and outputs are JSON: {"datasets": [...], "models": [...]} and {"models": [...]}.
-- forked_from is the run whose points up to and with fork_step are this one's too; '' where there is none.
-- Times are milliseconds since the epoch, UTC; end_time_ms and deleted_time_ms are 0 where there is none.
CREATE TABLE IF NOT EXISTS runs
(
    run_id          String,
    created         Bool,
    experiment_id   LowCardinality(String),
    name            String,
    user_id         LowCardinality(String),
    status          LowCardinality(String),
    status_reason   String,
    start_time_ms   Int64,
    end_time_ms     Int64,
    lifecycle       LowCardinality(String),
    deleted_time_ms Int64,
    artifact_uri    String,
    forked_from     String,
    fork_step       Int64,
    heartbeat_interval_s Float64,
    heartbeat_ms    Int64,
    params          Map(String, String),
    tags            Map(String, String),
    inputs          String,
    outputs         String,
    writers         Map(String, UInt64),
    partition       UInt16,
    offset          UInt64
)
ENGINE = ReplacingMergeTree(offset)
ORDER BY run_id
;

-- Every event of the runs and registry topics, once, in its place: the history of every object.
-- outcome: applied, refused or rejected (reason says why; rejected could not be
-- read), or skipped (an unknown type, kept for later versions). Heartbeats are left out, but for those that brought a run back.
CREATE TABLE IF NOT EXISTS events
(
    topic        LowCardinality(String),
    partition    UInt16,
    offset       UInt64,
    subject      String,
    type         LowCardinality(String),
    time_ms      Int64,
    logged_ms    Int64,
    actor        LowCardinality(String),
    source       LowCardinality(String),
    id           String,
    outcome      LowCardinality(String),
    reason       String,
    data         String,
    PROJECTION positions (SELECT topic, partition, max(offset) GROUP BY topic, partition)
)
ENGINE = MergeTree
ORDER BY (subject, topic, partition, offset)
;

-- Every metric point, once. item counts the points of one event; (partition, offset, item) names a point.
-- writer is '' for points that came through the REST API, where a client may send a point twice: reads collapse those
-- that are equal in key, step, timestamp and value, as MLflow does. Points of the SDK are never collapsed.
-- The projection answers "how far is this view, and what did each writer send" without reading points; it is written
-- in the same part as the points, so it cannot disagree with them.
CREATE TABLE IF NOT EXISTS metrics
(
    run_id         String,
    key            LowCardinality(String),
    step           Int64,
    timestamp_ms   Int64,
    value          Float64,
    model_id       LowCardinality(String),
    dataset_name   LowCardinality(String),
    dataset_digest LowCardinality(String),
    writer         LowCardinality(String),
    sequence       UInt64,
    partition      UInt16,
    offset         UInt64,
    item           UInt32,
    INDEX by_model model_id TYPE bloom_filter GRANULARITY 4,
    PROJECTION positions (SELECT partition, run_id, writer, max(sequence), max(offset) GROUP BY partition, run_id, writer)
)
ENGINE = MergeTree
ORDER BY (run_id, key, step, timestamp_ms)
;

-- One row a (run, key): what tables and searches show of a metric. A newer row (higher offset) replaces an older one.
-- last_* is the point with the highest (step, timestamp, value), as MLflow has it; first_* the lowest.
-- value_min and value_max leave NaN out, and are NaN when every point is; infinities take part.
CREATE TABLE IF NOT EXISTS metric_summary
(
    run_id            String,
    key               LowCardinality(String),
    last_value        Float64,
    last_step         Int64,
    last_timestamp_ms Int64,
    first_value       Float64,
    first_step        Int64,
    first_timestamp_ms Int64,
    value_min         Float64,
    value_max         Float64,
    points            UInt64,
    nan_points        UInt64,
    model_id          LowCardinality(String),
    dataset_name      LowCardinality(String),
    dataset_digest    LowCardinality(String),
    partition         UInt16,
    offset            UInt64
)
ENGINE = ReplacingMergeTree(offset)
ORDER BY (run_id, key)
;

-- Who stores a partition: the holder of its highest (epoch, owner). Inserts of others are refused (ownership.py).
-- owner is a token of one claim of one process; what the views hold says how far each partition has come, not this.
CREATE TABLE IF NOT EXISTS owners
(
    topic      LowCardinality(String),
    partition  UInt16,
    owner      String,
    epoch      UInt64,
    claimed_ms Int64
)
ENGINE = MergeTree
ORDER BY (topic, partition)
;

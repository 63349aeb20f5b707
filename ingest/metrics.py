"""The catalogue of all metrics: what each process counts, by name, unit and label. For every stage.

Labels are bounded: stages, topics, partitions, detectors, reasons of closed lists. An agent, a trace or
a tool is never a label; those questions go to ClickHouse.
"""

from prometheus_client import Counter, Gauge, Histogram, Info, start_http_server

from ingest.settings import Settings

# From a fifth of the shortest hop to the patience of a person.
_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)

PROCESS = Info("tracefuse_process", "What this process is: its name and the build of its rules.")

# Every stage that reads Kafka.
PROCESSED = Counter(
    "tracefuse_processed_records_total",
    "Records applied, by the topic and partition they were read from.",
    ["topic", "partition"],
)
LAG = Gauge(
    "tracefuse_lag_records",
    "Records written but not yet applied by this stage.",
    ["stage", "topic", "partition"],
)
REPEATS = Counter(
    "tracefuse_repeated_records_total",
    "Derived records dropped because their src was applied before: repeats after a crash.",
    ["stage"],
)
GAPS = Counter(
    "tracefuse_gap_records_total",
    "Records that the log no longer held when a stage came back to read them.",
    ["topic"],
)
DEAD_LETTERS = Counter(
    "tracefuse_dead_letters_total",
    "Lines that could not be read, by reason; their bytes are on the dead-letter topic.",
    ["stage", "reason"],
)
QUARANTINED = Counter(
    "tracefuse_quarantined_records_total",
    "Envelopes whose proof of origin failed; they count for nobody.",
    ["reason"],
)
BATCH_SECONDS = Histogram(
    "tracefuse_batch_seconds",
    "From taking a batch to its last output.",
    ["stage"],
    buckets=_SECONDS,
)

# Workers: join and detect.
EVENTS = Counter("tracefuse_events_total", "Event lines read by the join.")
STEPS = Counter("tracefuse_steps_total", "Steps written, each revision.")
SIGNALS = Counter("tracefuse_signals_total", "Findings, by rule.", ["detector", "severity"])
COMMANDS = Counter(
    "tracefuse_commands_total", "Commands written, by kind of scope and state.", ["scope", "state"]
)
ACKNOWLEDGED = Counter("tracefuse_acknowledgements_total", "Commands that an agent obeyed.")
UNACKNOWLEDGED = Counter(
    "tracefuse_missing_acknowledgements_total", "Restricting commands without an answer in time."
)
DECISION_SECONDS = Histogram(
    "tracefuse_decision_seconds",
    "From the broker's time of the last input to the command's acknowledgement by the broker.",
    buckets=_SECONDS,
)
CHECKPOINT_SECONDS = Histogram(
    "tracefuse_checkpoint_seconds", "Saving what changed, marker included.", buckets=_SECONDS
)
CHECKPOINT_KEYS = Counter("tracefuse_checkpoint_keys_total", "Keys saved.")
RESTORE_SECONDS = Histogram(
    "tracefuse_restore_seconds", "Reading the state of newly owned partitions.", buckets=_SECONDS
)

# Sink.
ROWS = Counter("tracefuse_rows_total", "Rows that ClickHouse confirmed.", ["table"])
ROWS_DROPPED = Counter("tracefuse_dropped_rows_total", "Rows not written, by reason.", ["reason"])
INSERT_SECONDS = Histogram(
    "tracefuse_insert_seconds",
    "One insert until its outcome is known.",
    ["table"],
    buckets=_SECONDS,
)
INSERT_FAILURES = Counter(
    "tracefuse_insert_failures_total", "Inserts that failed and are tried again.", ["table"]
)

# Correlate and alerts. A route is its kind: `alertmanager`, or the scheme of an apprise address.
INCIDENTS = Counter("tracefuse_incidents_total", "Incidents opened, by severity.", ["severity"])
ALERTS_SENT = Counter("tracefuse_alerts_sent_total", "Notifications that a route took.", ["route"])
ALERTS_FAILED = Counter(
    "tracefuse_alerts_failed_total", "Attempts that a route refused or did not answer.", ["route"]
)


def serve(settings: Settings, process: str, build: str = "") -> int:
    """Expose the catalogue for scraping, on loopback unless configured otherwise; returns the port."""
    PROCESS.info({"process": process, "build": build})
    server, _ = start_http_server(settings.metrics_port, addr=settings.metrics_host)
    return int(server.server_port)

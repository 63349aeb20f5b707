"""`tracefuse trace ID`: the timeline of one trace, from events to commands and acknowledgements."""

import argparse

from dashboards.output import Output
from ingest.settings import Settings

TIMELINE = """
SELECT * FROM trace_timeline
WHERE trace_id = {trace:String}
ORDER BY at
LIMIT {most:UInt32}
"""
COLUMNS = ("at", "kind", "agent_id", "name", "detail")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("trace", metavar="ID", help="32 hex digits")
    parser.add_argument("--most", type=int, default=1000, metavar="N", help="lines; default: 1,000")


def run(options: argparse.Namespace, settings: Settings, out: Output) -> int:
    from dashboards.clickhouse import client

    with client(settings) as connected:
        found = connected.query(TIMELINE, parameters={"trace": options.trace, "most": options.most})
        rows = list(found.named_results())
    out.table(rows, COLUMNS, f"nothing is known of trace {options.trace}")
    return 0 if rows else 1

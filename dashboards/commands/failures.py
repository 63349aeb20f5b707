"""`tracefuse failures count|page`: how often each kind of failure was found, and what each of them is."""

import argparse
import sys

from dashboards.naming import agent_of
from dashboards.output import Output
from ingest.settings import Settings

COUNTED = """
SELECT
    tenant, agent_id, failure, found, found_last_day, found_last_week, stops, incidents, runs, last_at
FROM failure_counts
WHERE {agent:String} = '' OR (tenant = {tenant:String} AND agent_id = {agent:String})
ORDER BY found DESC, tenant, agent_id, failure
LIMIT {most:UInt32}
"""
COLUMNS = (
    "agent", "failure", "found", "found_last_day", "found_last_week", "stops", "incidents", "runs",
    "last_at",
)  # fmt: skip


def arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(dest="what", metavar="count|page", required=True)
    count = what.add_parser("count", help="by agent, the most frequent first")
    count.add_argument("--agent", default="", metavar="TENANT/AGENT", help="only this one")
    count.add_argument("--most", type=int, default=100, metavar="N", help="lines; default: 100")
    count.add_argument("--json", action="store_true", default=argparse.SUPPRESS)
    what.add_parser("page", help="the catalogue as docs/failures.md has it")


def run(options: argparse.Namespace, settings: Settings, out: Output) -> int:
    if options.what == "page":
        from dashboards.failure_page import page

        sys.stdout.write(page())
        return 0
    from dashboards.clickhouse import client

    tenant, agent = agent_of(options.agent) if options.agent else ("", "")
    asked = {"tenant": tenant, "agent": agent, "most": options.most}
    with client(settings) as connected:
        found = connected.query(COUNTED, parameters=asked)
        rows = [
            row | {"agent": f"{row['tenant']}/{row['agent_id']}"} for row in found.named_results()
        ]
    out.table(rows, COLUMNS, "nothing was found")
    return 0

"""`tracefuse reviews list`: allowed calls that were put aside and that nobody has judged yet."""

import argparse

from dashboards.naming import agent_of
from dashboards.output import Output
from ingest.settings import Settings

# As many as fit a screen or two; whoever has judged these is shown the next.
LIST_MAX = 100
WAITING = """
SELECT
    call_id, tenant, agent_id, tool, decision_args AS arguments, user_id AS user,
    task_type AS task, trace_id, sampled_at AS at
FROM reviews
WHERE labels = 0
    AND ({agent:String} = '' OR (tenant = {tenant:String} AND agent_id = {agent:String}))
ORDER BY sampled_at DESC
LIMIT {most:UInt32}
"""
COLUMNS = ("at", "call_id", "agent", "tool", "arguments", "user", "task", "trace_id")


def arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(dest="what", metavar="list", required=True)
    listed = what.add_parser("list", help=f"what waits, the newest {LIST_MAX} first")
    listed.add_argument("--agent", default="", metavar="TENANT/AGENT", help="only this one")
    listed.add_argument("--json", action="store_true", default=argparse.SUPPRESS)


def run(options: argparse.Namespace, settings: Settings, out: Output) -> int:
    from dashboards.clickhouse import client

    tenant, agent = agent_of(options.agent) if options.agent else ("", "")
    asked = {"tenant": tenant, "agent": agent, "most": LIST_MAX}
    with client(settings) as connected:
        found = connected.query(WAITING, parameters=asked)
        rows = [
            row | {"agent": f"{row['tenant']}/{row['agent_id']}"} for row in found.named_results()
        ]
    out.table(rows, COLUMNS, "nothing waits for a review")
    return 0

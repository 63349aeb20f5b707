"""`tracefuse approvals list`: the calls that wait for a person."""

import argparse
import asyncio

from dashboards.output import Output, clock
from ingest.settings import Settings
from tracefuse.clock import now_us

COLUMNS = ("approval_id", "agent", "tool", "arguments", "user", "rule", "approvers", "until")


def arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(dest="what", metavar="list", required=True)
    listed = what.add_parser("list", help="calls that wait, the most urgent first")
    listed.add_argument("--json", action="store_true", default=argparse.SUPPRESS)


def run(options: argparse.Namespace, settings: Settings, out: Output) -> int:
    from stream.people import approvals

    rows = [
        {
            "approval_id": one.approval_id, "agent": f"{one.tenant}/{one.agent_id}",
            "tool": one.tool, "arguments": one.decision_args or "", "user": one.user_id,
            "rule": one.rule, "reason": one.reason, "approvers": ", ".join(one.approvers) or "anybody",
            "trace_id": one.trace_id, "until": clock(round(one.expires_at * 1e6)),
        }
        for one in asyncio.run(approvals.waiting(settings, now_us() / 1e6))
    ]  # fmt: skip
    out.table(rows, COLUMNS, "nothing waits for a person")
    return 0

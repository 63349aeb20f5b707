"""`tracefuse approve ID`: say yes to one call that waits, or no with `--refuse`; signed and on record."""

import argparse
import asyncio
import getpass

from dashboards.output import Output
from ingest import keys
from ingest.settings import Settings

NO = 1


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("approval_id", metavar="ID", help="as `tracefuse approvals list` shows it")
    parser.add_argument("--refuse", action="store_true", help="the answer is no")
    parser.add_argument("--reason", default="", help="goes into the record, for good")
    parser.add_argument("--by", default="", metavar="NAME", help="who decides; default: your login")


def run(options: argparse.Namespace, settings: Settings, out: Output) -> int:
    from stream.people import approvals

    held = keys.load(settings.keys_folder)
    wanted = "refused" if options.refuse else "approved"
    by = options.by or getpass.getuser()
    outcome = asyncio.run(
        approvals.answer(
            settings, held, options.approval_id, not options.refuse, by, options.reason
        )
    )
    out.record(
        {"approval_id": outcome.approval_id, "outcome": outcome.outcome, "by": outcome.by},
        f"{outcome.approval_id}: a call of {outcome.tool} is {outcome.outcome} by {outcome.by}",
    )
    return 0 if outcome.outcome == wanted else NO

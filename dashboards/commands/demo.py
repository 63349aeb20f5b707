"""`tracefuse demo`: the labelled fleet, played on the stack that runs, or on one started for it."""

import argparse
import os
import sys
from pathlib import Path

from dashboards import runfile
from dashboards.attached import attached
from dashboards.output import Output
from ingest import keys
from ingest.settings import Settings


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--duration", type=float, default=60.0, metavar="SECONDS", help="default: 60"
    )
    # So much two cores play beside the whole stack, and calls still get their verdicts in time.
    parser.add_argument(
        "--rate", type=float, default=300.0, metavar="EVENTS_PER_SECOND", help="default: 300"
    )
    parser.add_argument("--all", action="store_true", help="then also what needs a history")
    parser.add_argument(
        "--report", type=Path, default=None, metavar="FILE", help="all figures as JSON"
    )
    parser.add_argument("--keep", action="store_true", help="leave the stack up until Ctrl-C")


def run(options: argparse.Namespace, settings: Settings, out: Output) -> int:
    with attached(settings, out.say) as stack:
        settings = runfile.addressed(os.environ)
        from dashboards.demo import run_demo

        code = run_demo(
            settings,
            keys.load(settings.keys_folder),
            options.duration,
            options.rate,
            options.report,
            options.all,
        )
        if options.keep and stack is not None:
            name = sys.argv[0]  # as it was called here, it can be called there
            out.say(f"the stack stays up until Ctrl-C; in another terminal: {name} status")
            out.say(f"or: {name} tail · {name} breaker list · {name} sql 'SHOW TABLES'")
            stack.wait()
    return int(code)

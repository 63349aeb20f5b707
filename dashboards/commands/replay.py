"""`tracefuse replay`: every decision computed again from the stored inputs, byte for byte."""

import argparse
import asyncio
from pathlib import Path

from dashboards.output import Output
from ingest import keys
from ingest.settings import Settings


def arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--verify", action="store_true", help="compare with what was published")
    what.add_argument("--save-base", type=Path, metavar="FILE", help="save where to verify from")
    parser.add_argument("--base", type=Path, metavar="FILE", help="verify from a saved base")


def run(options: argparse.Namespace, settings: Settings, out: Output) -> int:
    from stream import replay

    held = keys.load(settings.keys_folder)
    if options.save_base:
        saved = asyncio.run(replay.save_base(settings, held, options.save_base))
        out.record({"partitions": saved}, f"saved {saved} partitions to {options.save_base}")
        return 0
    report = asyncio.run(replay.verify(settings, held, options.base))
    if out.as_json:
        counts = {"compared": dict(report.compared), "different": dict(report.different)}
        builds = sorted(report.other_builds)
        out.record({"exit_code": report.exit_code, **counts, "other_builds": builds}, "")
    for line in replay.words(report).splitlines():
        out.say(line)
    return report.exit_code

"""`tracefuse rollout AGENT --to BUNDLE --share 0.05`: give a share of the runs another bundle; 1 is all."""

import argparse
import asyncio

from dashboards.naming import agent_of
from dashboards.output import Output
from ingest import keys
from ingest.settings import Settings


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "agent", metavar="AGENT", help="TENANT/AGENT; without tenant: default/AGENT"
    )
    parser.add_argument("--to", required=True, metavar="BUNDLE", help="hash of the bundle")
    parser.add_argument("--share", type=float, default=0.01, help="of the runs, 0 to 1")


def run(options: argparse.Namespace, settings: Settings, out: Output) -> int:
    from stream import rollout

    held = keys.load(settings.keys_folder)

    async def carried_out() -> int:
        agent = await rollout.current(settings, held, *agent_of(options.agent))
        new = rollout.rolled_out(agent, options.to, options.share)
        return (await rollout.bring(settings, held, new)).version

    version = asyncio.run(carried_out())
    out.record(
        {"agent": options.agent, "version": version, "bundle": options.to, "share": options.share},
        f"{options.agent} version {version}: {options.share:.0%} of the runs get {options.to};"
        f" `tracefuse rollback {options.agent}` takes it back",
    )
    return 0

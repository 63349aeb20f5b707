"""`tracefuse rollback AGENT`: the stable bundle alone, at once; what another one still does is refused."""

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


def run(options: argparse.Namespace, settings: Settings, out: Output) -> int:
    from stream import rollout

    held = keys.load(settings.keys_folder)

    async def carried_out() -> tuple[int, str]:
        agent = await rollout.current(settings, held, *agent_of(options.agent))
        new = await rollout.bring(settings, held, rollout.rolled_back(agent))
        return new.version, new.bundles["stable"].hash

    version, bundle = asyncio.run(carried_out())
    out.record(
        {"agent": options.agent, "version": version, "bundle": bundle},
        f"{options.agent} version {version}: every run gets {bundle}",
    )
    return 0

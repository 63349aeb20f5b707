"""`tracefuse promote AGENT --to prod`: one more environment, on the proof of the one before it.

Exit code 0 when it was granted, 1 when its gate lacks something: nothing is changed then.
"""

import argparse
import asyncio

from dashboards.naming import agent_of
from dashboards.output import Output
from ingest import keys
from ingest.settings import Settings
from tracefuse.clock import now_us
from tracefuse.errors import ConfigError

OK, NO = 0, 1


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "agent", metavar="AGENT", help="TENANT/AGENT; without tenant: default/AGENT"
    )
    parser.add_argument("--to", required=True, choices=("staging", "prod"), help="the environment")
    parser.add_argument("--by", required=True, metavar="NAME", help="who decides")
    parser.add_argument("--reason", required=True, help="goes into the record, for good")


def run(options: argparse.Namespace, settings: Settings, out: Output) -> int:
    from dashboards.clickhouse import client
    from dashboards.shown import shown
    from ingest.agent_file import Grant
    from stream.detect import granting
    from stream.people import promotion
    from stream.people.registration import publish
    from stream.people.rollout import current

    held = keys.load(settings.keys_folder)
    tenant, name = agent_of(options.agent)
    agent = asyncio.run(current(settings, held, tenant, name))
    if options.to in agent.granted:
        raise ConfigError(f"{tenant}/{name} may run in {options.to} already")
    source, stable = promotion.before(options.to), agent.bundles.get("stable")
    bundle = stable.hash if stable is not None else ""
    with client(settings) as connected:
        proof = shown(
            connected, tenant, name, environment=source, bundle=bundle, measured=agent.metrics_only
        )
    told = {
        "agent": f"{tenant}/{name}", "environment": options.to, "by": options.by,
        "reason": options.reason, "shown_in": source, "bundle": bundle, "shown": str(proof),
    }  # fmt: skip
    lacking = promotion.missing(agent, options.to, proof, options.by)
    if lacking:
        said = "; ".join(lacking)
        out.record(
            told | {"granted": False, "lacking": lacking, "version": agent.version},
            f"NOT PROMOTED: {tenant}/{name} lacks for {options.to}: {said} (in {source}: {proof})",
        )
        return NO
    grant = Grant(
        granting.environment(options.to), options.by, options.reason,
        granting.written(now_us() / 1e6), f"in {source}: {proof}",
    )  # fmt: skip
    new = promotion.promoted(agent, options.to, grant)
    asyncio.run(publish(settings, held, [new], decided=True))
    out.record(
        told | {"granted": True, "lacking": [], "version": new.version},
        f"{tenant}/{name} version {new.version}: may run in {options.to} (in {source}: {proof});"
        f" keep the file with `tracefuse registry show {tenant}/{name}`",
    )
    return OK

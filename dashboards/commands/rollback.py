"""`tracefuse rollback AGENT …`: the stable bundle alone, at once; what another one still does is refused.

Where the stable bundle runs alone already, the one before it. Exit code 1 where an agent has none to go
back to; the other agents go back all the same.
"""

import argparse
import asyncio
import getpass

from dashboards.naming import agent_of
from dashboards.output import Output
from ingest import keys
from ingest.agent_file import AgentFile, Grant
from ingest.settings import Settings
from tracefuse.clock import now_us
from tracefuse.errors import ConfigError

OK, NO = 0, 1


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "agents", nargs="+", metavar="AGENT", help="TENANT/AGENT; without tenant: default/AGENT"
    )
    parser.add_argument("--by", default="", metavar="NAME", help="who decides; default: your login")
    parser.add_argument("--reason", default="", help="goes into the record, for good")


def run(options: argparse.Namespace, settings: Settings, out: Output) -> int:
    from stream.detect import granting
    from stream.people import rollout
    from stream.people.registration import in_force, publish

    held = keys.load(settings.keys_folder)
    wanted = dict.fromkeys("/".join(agent_of(name)) for name in options.agents)
    by, now = options.by or getpass.getuser(), now_us() / 1e6

    def back(agent: AgentFile) -> AgentFile:
        new = rollout.rolled_back(agent)
        if new is agent:
            return agent
        what = f"back to bundle {new.bundles['stable'].hash}"
        return granting.noted(new, Grant(what, by, options.reason, granting.written(now)))

    async def carried_out() -> tuple[list[tuple[AgentFile, bool]], dict[str, str]]:
        known = await in_force(settings, held)
        done, refused = list[tuple[AgentFile, bool]](), dict[str, str]()
        for name in wanted:
            try:
                if name not in known:
                    raise ConfigError(f"{name} has no file in force")
                new = back(known[name])
                done.append((new, new is not known[name]))
            except ConfigError as error:
                refused[name] = str(error)
        await publish(settings, held, [agent for agent, _ in done], decided=True)
        return done, refused

    done, refused = asyncio.run(carried_out())
    for agent, changed in done:
        name, bundle = f"{agent.tenant}/{agent.agent}", agent.bundles["stable"].hash
        already = "" if changed else " already"
        out.record(
            {"agent": name, "version": agent.version, "bundle": bundle, "changed": changed},
            f"{name} version {agent.version}: every run gets {bundle}{already}",
        )
    for name, why in refused.items():
        out.record({"agent": name, "error": why}, f"NOT ROLLED BACK: {why}")
    return NO if refused else OK

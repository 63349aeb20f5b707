"""`tracefuse kill AGENT`: stop an agent now. Works with every worker dead, as long as the broker lives."""

import argparse
import asyncio

from dashboards.naming import agent_of
from dashboards.output import Output
from ingest import keys
from ingest.settings import Settings
from tracefuse.control import agent_scope


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "agent", metavar="AGENT", help="TENANT/AGENT; without tenant: default/AGENT"
    )
    parser.add_argument("--reason", required=True, help="goes into the record, for good")
    parser.add_argument("--cmd-id", default="", help="of a stop that was cut short, to repeat it")


def run(options: argparse.Namespace, settings: Settings, out: Output) -> int:
    scope = agent_scope(*agent_of(options.agent))
    return force(scope, options.reason, options.cmd_id, settings, out)


def force(scope: str, reason: str, cmd_id: str, settings: Settings, out: Output) -> int:
    """Stop a scope and say so; shared with `breaker force`."""
    from stream import orders

    held = keys.load(settings.keys_folder)
    stop = asyncio.run(orders.force(settings, held, scope, reason, cmd_id))
    out.record(
        {"scope": scope, "state": stop.state, "cmd_id": stop.cmd_id, "epoch": stop.epoch},
        f"{scope} is stopped ({stop.cmd_id}); let it try again with"
        f" `tracefuse breaker release {scope} --reason …`",
    )
    return 0

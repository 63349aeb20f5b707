"""`tracefuse kill WHAT`: stop it now. Works with every worker dead, as long as the broker lives."""

import argparse
import asyncio
from pathlib import Path

from dashboards.naming import scope_of
from dashboards.output import Output
from ingest import keys
from ingest.settings import Settings
from tracefuse.people import TWO_PEOPLE


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what", metavar="WHAT",
        help="AGENT or TENANT/AGENT; agent:…, tool:TENANT/AGENT/TOOL, run:TENANT/AGENT/TRACE;"
        " wider: shared_tool:TENANT/TOOL, class:TENANT/ACCESS, tenant:TENANT; `fleet` is everything"
        " and takes a second person",
    )  # fmt: skip
    parser.add_argument("--reason", required=True, help="goes into the record, for good")
    parser.add_argument("--cmd-id", default="", help="of a stop that was cut short, to repeat it")


def run(options: argparse.Namespace, settings: Settings, out: Output) -> int:
    return force(scope_of(options.what), options.reason, options.cmd_id, settings, out)


def force(scope: str, reason: str, cmd_id: str, settings: Settings, out: Output) -> int:
    """Stop a scope and say so; shared with `breaker force`."""
    from stream import orders

    if scope in TWO_PEOPLE:
        return ask(scope, reason, False, settings, out)
    held = keys.load(settings.keys_folder)
    stop = asyncio.run(orders.force(settings, held, scope, reason, cmd_id))
    out.record(
        {"scope": scope, "state": stop.state, "cmd_id": stop.cmd_id, "epoch": stop.epoch},
        f"{scope} is stopped ({stop.cmd_id}); let it try again with"
        f" `tracefuse breaker release {scope} --reason …`",
    )
    return 0


def ask(scope: str, reason: str, release: bool, settings: Settings, out: Output) -> int:
    """Write down what a second person has to sign; nothing changes until then."""
    from stream import requests

    held = keys.load(settings.keys_folder)
    request = requests.ask(held, scope, reason, release)
    word = "release" if release else "stop"
    path = Path(f"{scope}-{word}-{request.command.epoch}.json")
    requests.write(request, path)
    out.record(
        {"scope": scope, "state": "asked", "cmd_id": request.command.cmd_id, "file": str(path)},
        f"NOTHING IS CHANGED YET: {scope} takes two people. Within the hour somebody else types"
        f" `tracefuse cosign {path}`, reads, and adds `--sign`",
    )
    return 0

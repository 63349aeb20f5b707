"""`tracefuse kill WHAT`: stop it now. Works with every worker dead, as long as the broker lives."""

import argparse
import asyncio
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from dashboards.naming import scope_of
from dashboards.output import Output
from ingest import keys
from ingest.settings import Settings
from tracefuse.control import WIDE
from tracefuse.people import TWO_PEOPLE

# A look at whose name it was; the stop itself has been given by then.
LOOK_SECONDS = 5.0


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
    from stream.people import orders

    if scope in TWO_PEOPLE:
        return ask(scope, reason, False, settings, out)
    held = keys.load(settings.keys_folder)
    stop = asyncio.run(orders.force(settings, held, scope, reason, cmd_id))
    out.record(
        {"scope": scope, "state": stop.state, "cmd_id": stop.cmd_id, "epoch": stop.epoch},
        f"{scope} is stopped ({stop.cmd_id}); let it try again with"
        f" `tracefuse breaker release {scope} --reason …`",
    )
    if name := stranger(scope, asyncio.run(_owned(settings, held))):
        out.say(f"NOTE: no file in force is of {name}; `tracefuse registry show` lists whose are")
    return 0


async def _owned(settings: Settings, held: keys.Keys) -> Collection[str]:
    """Agents that somebody answers for. The stop was given before: nothing here may undo that."""
    from stream.people.registration import in_force

    with suppress(Exception):
        return await asyncio.wait_for(in_force(settings, held), LOOK_SECONDS)
    return ()


def stranger(scope: str, known: Collection[str]) -> str:
    """Whom a scope names, where no file in force is theirs: mistyped, most likely.

    >>> stranger("agent:default/refunds", {"acme/refunds"}), stranger("tool:a/b/pay", {"a/b"})
    ('default/refunds', '')
    >>> stranger("tenant:acme", {"acme/refunds"}), stranger("class:amce/write", {"acme/refunds"})
    ('', 'amce')
    """
    if not known:  # nobody has files here, or nobody answers: that says nothing of the name
        return ""
    kind, _, rest = scope.partition(":")
    tenant, _, inner = rest.partition("/")
    if kind in WIDE:
        return "" if any(name.startswith(f"{tenant}/") for name in known) else tenant
    agent = f"{tenant}/{inner.partition('/')[0]}"
    return "" if agent in known else agent


def ask(scope: str, reason: str, release: bool, settings: Settings, out: Output) -> int:
    """Write down what a second person has to sign; nothing changes until then."""
    from stream.people import requests

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

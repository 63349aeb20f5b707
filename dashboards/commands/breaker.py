"""`tracefuse breaker`: what is stopped, by whom and why; a person's own word on it."""

import argparse
import asyncio

from dashboards.commands.kill import ask, force
from dashboards.naming import scope_of
from dashboards.output import Output
from ingest import keys
from ingest.settings import Settings
from tracefuse.people import TWO_PEOPLE

OPEN = "SELECT * FROM open_breakers ORDER BY scope LIMIT {most:UInt32}"
COLUMNS = ("scope", "author", "state", "rule", "text", "since")


def arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(dest="what", metavar="list|force|release", required=True)
    listed = what.add_parser("list", help="scopes that are not closed")
    listed.add_argument("--most", type=int, default=100, metavar="N", help="lines; default: 100")
    listed.add_argument("--json", action="store_true", default=argparse.SUPPRESS)
    for name, text in (("force", "stop a scope"), ("release", "let a scope try again")):
        order = what.add_parser(name, help=text)
        order.add_argument("scope", help="as `kill` takes them; `fleet` takes a second person")
        order.add_argument("--reason", required=True, help="goes into the record, for good")
        order.add_argument("--json", action="store_true", default=argparse.SUPPRESS)
        if name == "force":
            order.add_argument("--cmd-id", default="", help="of a stop that was cut short")
        else:
            order.add_argument(
                "--timeout", type=float, default=15.0, metavar="SECONDS",
                help="how long to wait for the owner's word; default: 15",
            )  # fmt: skip


def run(options: argparse.Namespace, settings: Settings, out: Output) -> int:
    if options.what == "list":
        return _list(options.most, settings, out)
    scope = scope_of(options.scope)
    if options.what == "force":
        return force(scope, options.reason, options.cmd_id, settings, out)
    return _release(scope, options.reason, options.timeout, settings, out)


def _list(most: int, settings: Settings, out: Output) -> int:
    from dashboards.clickhouse import client

    with client(settings) as connected:
        rows = list(connected.query(OPEN, parameters={"most": most}).named_results())
    out.table(rows, COLUMNS, "no breaker is open")
    return 0


def _release(scope: str, reason: str, timeout: float, settings: Settings, out: Output) -> int:
    from stream.people import orders

    if scope in TWO_PEOPLE:
        return ask(scope, reason, True, settings, out)
    held = keys.load(settings.keys_folder)
    wish = asyncio.run(orders.release(settings, held, scope, reason, timeout))
    out.record(
        {"scope": scope, "state": "half_open", "cmd_id": wish.cmd_id},
        f"{scope} may try again: a few calls run, and clean ones close the breaker",
    )
    return 0

"""`tracefuse sql "QUERY"`: a question to ClickHouse. The server itself refuses to write for it."""

import argparse
import sys

from dashboards.output import Output
from ingest.settings import Settings
from tracefuse.errors import ConfigError


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("query", nargs="?", default="", help="default: the standard input")
    parser.add_argument("--param", action="append", default=[], metavar="NAME=VALUE",
                        help="for {name:Type} in the query")  # fmt: skip


def run(options: argparse.Namespace, settings: Settings, out: Output) -> int:
    from dashboards.clickhouse import client

    query = options.query or ("" if sys.stdin.isatty() else sys.stdin.read())
    if not query.strip():
        raise ConfigError("no query: give one, or write it to the standard input")
    parameters = dict(map(_pair, options.param))
    with client(settings) as connected:
        answer = connected.raw_query(
            query,
            settings={"readonly": "1"},
            fmt="JSONEachRow" if options.json else "PrettyCompactMonoBlock",
            parameters=parameters,
        )
    if not answer:
        out.say("no rows")
    sys.stdout.write(answer.decode(errors="replace"))
    return 0


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name.isidentifier():
        raise ConfigError(f"--param {text}: give NAME=VALUE")
    return name, value

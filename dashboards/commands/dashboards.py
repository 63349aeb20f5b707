"""`tracefuse dashboards publish`: the fleet overview, in any Grafana that the settings name."""

import argparse
from dataclasses import replace

from dashboards.output import Output
from ingest.settings import Settings


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("publish",))
    parser.add_argument(
        "--clickhouse", default="", metavar="HOST:PORT", help="as Grafana reaches it"
    )
    parser.add_argument("--prometheus", default="", metavar="URL", help="as Grafana reaches it")


def run(options: argparse.Namespace, settings: Settings, out: Output) -> int:
    from dashboards.publish import publish

    if options.clickhouse:
        settings = replace(settings, clickhouse=options.clickhouse)
    for made in publish(settings, options.prometheus):
        record = {name: getattr(made, name) for name in made.__slots__}
        url = settings.grafana.rstrip("/") + made.url
        out.record(record, f"{made.title}, version {made.version}: {url}")
    return 0

"""`tracefuse setup`: what every cluster needs before the first process starts. Harmless when repeated."""

import argparse
import asyncio

from dashboards import preparation
from dashboards.output import Output
from ingest import keys
from ingest.settings import Settings


def arguments(parser: argparse.ArgumentParser) -> None:
    """None: everything comes from the environment."""


def run(options: argparse.Namespace, settings: Settings, out: Output) -> int:
    keys.create(settings.keys_folder)
    topics = asyncio.run(preparation.topics(settings))
    tables = preparation.tables(settings)
    agents = asyncio.run(preparation.registry(settings))
    out.record(
        {"topics": topics, "migrations": tables, "agents": agents},
        f"created {len(topics)} topics, applied {len(tables)} migrations, published {agents} agents",
    )
    return 0

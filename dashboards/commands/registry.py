"""`tracefuse registry`: the agents' files, checked or put into force."""

import argparse
import asyncio
from pathlib import Path

from dashboards.output import Output
from ingest import keys, registry
from ingest.settings import Settings
from tracefuse.errors import ConfigError


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("check", "publish"))
    parser.add_argument("folder", nargs="?", default="", help="default: TRACEFUSE_REGISTRY")


def run(options: argparse.Namespace, settings: Settings, out: Output) -> int:
    folder = options.folder or settings.registry
    if not folder or not Path(folder).is_dir():
        raise ConfigError(f"no folder of agent files: {folder or 'set TRACEFUSE_REGISTRY'}")
    agents = registry.load(Path(folder))
    if options.what == "publish":
        from stream.registration import publish

        asyncio.run(publish(settings, keys.load(settings.keys_folder), agents.values()))
    rows = [
        {"agent": f"{tenant}/{agent}", "version": file.version, "digest": file.digest}
        for (tenant, agent), file in agents.items()
    ]
    out.table(rows, ("agent", "version", "digest"), "no agent files there")
    return 0

"""`tracefuse correlate`: signals and trips into incidents, as one process."""

import argparse

from dashboards.output import Output
from dashboards.processes import run_process
from ingest.settings import Settings


def arguments(parser: argparse.ArgumentParser) -> None:
    """None: everything comes from the environment."""


def run(options: argparse.Namespace, settings: Settings, out: Output) -> int:
    from stream.correlate.runner import run as main

    return run_process("correlate", main, settings)

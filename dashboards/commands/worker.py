"""`tracefuse worker`: join and detect. Becomes the Faust worker, so that one process has one id."""

import argparse
import os
import sys

from dashboards.output import Output
from ingest.settings import Settings

COMMAND = ("-m", "stream.worker.app", "worker")


def arguments(parser: argparse.ArgumentParser) -> None:
    """None: everything comes from the environment."""


def run(options: argparse.Namespace, settings: Settings, out: Output) -> int:
    os.execve(sys.executable, [sys.executable, *COMMAND], {**os.environ, **settings.environment()})

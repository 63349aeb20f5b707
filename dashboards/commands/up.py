"""`tracefuse up`: the embedded stack in the foreground."""

import argparse
import signal
import threading

from dashboards.output import Output
from dashboards.stack import Stack
from ingest.settings import Settings


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workers", type=int, default=0, metavar="N", help="default: by cores")


def run(options: argparse.Namespace, settings: Settings, out: Output) -> int:
    stopped = threading.Event()

    def stop(number: int, _: object) -> None:
        if stopped.is_set():
            return  # a second Ctrl-C does not cut the orderly stop
        stopped.set()
        if not started:
            raise KeyboardInterrupt

    started = False
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    stack = Stack(settings, options.workers, out.say)
    stack.start()
    started = True
    out.record(
        {"state": "ready", **stack.addresses},
        f"Kafka {stack.settings.bootstrap} · ClickHouse {stack.settings.clickhouse}"
        f" · logs {stack.home / 'logs'} · Ctrl-C stops all",
    )
    try:
        stack.supervise(stopped)
    finally:
        out.say("stopping …")
        stack.stop()
    return 0

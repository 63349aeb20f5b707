"""How one process of the pipeline runs: metrics, logging, keys, an orderly end on SIGTERM."""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Awaitable, Callable

import uvloop

from ingest import garbage, keys, metrics
from ingest.keys import Keys
from ingest.settings import Settings
from stream.build import build
from stream.dead_letters import TooManyDeadLetters

LINE = "%(asctime)s %(levelname)s %(name)s: %(message)s"
FAULT = 70  # EX_SOFTWARE: the supervisor starts it again
Main = Callable[[Settings, Keys], Awaitable[None]]


def run_process(name: str, main: Main, settings: Settings) -> int:
    """Run `main` until SIGTERM or Ctrl-C, which cancel it; 0 after an orderly end.

    Unlike a command, a process leaves the whole trace of its end in its log. One that can read too
    little of its input ends with EX_DATAERR (65).
    """
    logging.basicConfig(level=logging.INFO, format=LINE, force=True)
    log = logging.getLogger(f"tracefuse.{name}")
    logging.getLogger("aiokafka").setLevel(logging.WARNING)  # each assignment is a page otherwise
    held = keys.load(settings.keys_folder)
    metrics.serve(settings, name, build())
    garbage.rare()

    async def until_told() -> None:
        task = asyncio.ensure_future(main(settings, held))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(until_told())
    except TooManyDeadLetters as error:
        log.critical("%s; the process ends.", error)
        return os.EX_DATAERR
    except Exception:
        log.exception("The process ends.")
        return FAULT
    return 0

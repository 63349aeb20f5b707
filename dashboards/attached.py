"""The running stack, or one of our own for as long as we need it. For `demo` and for tests."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from dashboards import runfile
from dashboards.child import bound
from dashboards.stack import FETCH_SECONDS, START_SECONDS, Say, StackFailed
from ingest.settings import Settings

STOP_SECONDS = 90.0  # its own groups have deadlines that add up to less


@contextlib.contextmanager
def attached(settings: Settings, say: Say) -> Iterator[subprocess.Popen[bytes] | None]:
    """A stack that is ready: the running one (yields None), or a child that ends with the block.

    Raises `StackFailed` to the operator when it does not become ready.
    """
    home = Path(settings.home)
    run = runfile.running(home)
    if run is not None and run.state == "ready":
        say(f"using the stack of process {run.pid}")
        yield None
        return
    stack = subprocess.Popen(
        [sys.executable, "-m", "dashboards.cli", "up"],
        env={**os.environ, **settings.environment()},
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for us; we stop it in order
        preexec_fn=bound(os.getpid()),
    )
    try:
        _await_ready(home, stack)
        yield stack
    finally:
        stack.send_signal(signal.SIGTERM)
        try:
            stack.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            stack.kill()
            stack.wait()


def _await_ready(home: Path, stack: subprocess.Popen[bytes]) -> None:
    # It has deadlines of its own, and better words.
    deadline = time.monotonic() + START_SECONDS + FETCH_SECONDS + STOP_SECONDS
    while True:
        run = runfile.read(home)
        if run is not None and run.pid == stack.pid and run.state == "ready":
            return
        if stack.poll() is not None:
            raise StackFailed("the stack did not start, see above")
        if time.monotonic() > deadline:
            raise StackFailed("the stack did not become ready in time")
        time.sleep(0.05)

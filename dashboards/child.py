"""One process of the embedded stack: started, watched, ended by its id. Used by the supervisor alone."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

# A log is cut at this size and one older copy is kept, so a process takes at most twice as much.
LOG_BYTES_MAX = 10 << 20
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


class Restarts:
    """How long to wait before the next start: longer with each crash, and few in any minute. Pure.

    Parameters
    ----------
    most
        Starts within `window` seconds at most.

    Examples
    --------
    >>> restarts = Restarts(most=3, window=60.0)
    >>> [restarts.delay(now) for now in (0.0, 1.0, 2.0, 10.0, 100.0)]
    [0.5, 1.0, 2.0, 50.0, 0.5]
    """

    FIRST = 0.5  # a port or a lock of the dead process is free by then

    def __init__(self, most: int = 5, window: float = 60.0):
        self.most = most
        self.window = window
        self.total = 0
        self._crashes: deque[float] = deque()

    def delay(self, now: float) -> float:
        """Seconds to wait after a crash at `now`."""
        while self._crashes and now - self._crashes[0] >= self.window:
            self._crashes.popleft()
        self.total += 1
        self._crashes.append(now)
        if len(self._crashes) > self.most:
            # As many as are allowed began within the window: the oldest must leave it first.
            return self.window - (now - self._crashes.popleft())
        return float(self.FIRST * 2 ** (len(self._crashes) - 1))


class Child:
    """A process with a log of its own, which ends when its parent does, however that ends.

    It has a session of its own: Ctrl-C is for the supervisor, who stops everybody in order.

    Parameters
    ----------
    name
        Also names its log.
    command, environment
        What to run; the environment is complete.
    log
        Appended to, cut by `rotate`.
    nice
        Steps by which it yields to others.
    metrics_port
        Where its metrics are, 0 for none.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        nice: int = 0,
        metrics_port: int = 0,
    ):
        self.name = name
        self.command = list(command)
        self.environment = dict(environment)
        self.log = log
        self.nice = nice
        self.metrics_port = metrics_port
        self.restarts = Restarts()
        self.process: subprocess.Popen[bytes] | None = None
        self._begin = 0  # where in the log this run begins

    @property
    def pid(self) -> int:
        """Process id; 0 before the first start."""
        return self.process.pid if self.process else 0

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start the process. From a thread that lives as long as the child may: Linux binds them."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._begin = log.tell()
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment,
                start_new_session=True,
                preexec_fn=bound(os.getpid(), self.nice),
            )

    def terminate(self) -> None:
        """Ask it to end; one that hangs by SIGSTOP must hear it too."""
        if self.process is not None and self.alive:
            self.process.terminate()
            self.process.send_signal(signal.SIGCONT)

    def wait(self, deadline: float) -> bool:
        """Wait for the end until `deadline` (monotonic), then kill; false when that was needed."""
        if self.process is None:
            return True
        try:
            self.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.kill()
            return False
        return True

    def kill(self) -> None:
        """End it at once."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def said(self) -> str:
        """What this run wrote into its log so far."""
        with contextlib.suppress(OSError), self.log.open("rb") as log:
            log.seek(min(self._begin, self.log.stat().st_size))
            return log.read().decode(errors="replace")
        return ""

    def tail(self) -> str:
        """The last words of this run and where the others are, on one line, for a message to the operator."""
        lines = self.said().split("\n")
        return f"{next((line for line in reversed(lines) if line.strip()), 'nothing')} (log: {self.log})"

    def rotate(self) -> None:
        """Cut a log that has grown too large. The writer appends, so it goes on at the new end."""
        with contextlib.suppress(OSError):
            if self.log.stat().st_size < LOG_BYTES_MAX:
                return
            self.log.with_suffix(".log.1").write_bytes(self.log.read_bytes())
            os.truncate(self.log, 0)
            self._begin = 0


def bound(parent: int, nice: int = 0) -> Callable[[], None]:
    """Runs in the child before its program: the kernel is to end it when the parent has ended."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None

    def bind() -> None:
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it ended before the kernel was told
            os._exit(1)
        if nice:
            os.nice(nice)
            # Where Linux schedules by session, niceness counts within one only; this is the session's.
            with contextlib.suppress(OSError), open("/proc/self/autogroup", "w") as group:
                group.write(str(nice))

    return bind

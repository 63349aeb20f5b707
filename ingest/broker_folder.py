"""The data directory of an embedded broker: who holds it, its port, its settings, its log.

Used by `ingest/broker.py` alone, which runs the process. What lies in the directory:

    lock               held while a broker runs, with its process id
    port               of the last run
    server.properties  of this run
    broker.log         warnings and errors of this run; `broker.log.1`: of the one before
    log/               Kafka's own
    tmp/               libraries that Java unpacks
"""

import fcntl
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from ingest import ports
from ingest.ports import HOST

SETTINGS = Path(__file__).with_name("broker.properties")
TAIL_LINES = 30


class BrokerError(RuntimeError):
    """The broker cannot serve. To the operator: the text names the reason or ends with the log."""


class Folder:
    """One data directory, held by at most one broker.

    Parameters
    ----------
    path : made when it is first held.

    Raises
    ------
    BrokerError : to the operator, from `hold`, when another broker has it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.log = self.path / "broker.log"
        self._lock: IO[str] | None = None

    @property
    def formatted(self) -> bool:
        return (self.path / "log" / "meta.properties").exists()

    def hold(self) -> int:
        """File descriptor of the lock. Java inherits it, so it outlives a killed parent."""
        self.path.mkdir(parents=True, exist_ok=True)
        lock = (self.path / "lock").open("a+", encoding="utf-8")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            owner = lock.read().strip() or "unknown"
            lock.close()
            message = f"{self.path} is in use by another broker, process {owner}"
            raise BrokerError(message) from None
        self._lock = lock
        return lock.fileno()

    def name_holder(self, pid: int) -> None:
        """For whoever is refused."""
        assert self._lock is not None
        self._lock.truncate(0)
        self._lock.write(str(pid))
        self._lock.flush()

    def release(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def last_port(self) -> int:
        """The last run's port while it is free, else another."""
        file = self.path / "port"
        port = int(file.read_text("utf-8")) if file.exists() else 0
        return port if port and ports.free(port) else ports.free_port()

    def write_settings(self, port: int, overrides: Mapping[str, str]) -> Path:
        """The settings of a run on this port; where a key stands twice, Java takes the last."""
        controller = ports.free_port(port)
        settings = {
            "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller}",
            "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
            "controller.quorum.voters": f"1@{HOST}:{controller}",
            "log.dirs": str(self.path / "log"),
        }
        lines = [f"{key}={value}\n" for key, value in (settings | dict(overrides)).items()]
        file = self.path / "server.properties"
        file.write_text(SETTINGS.read_text("utf-8") + "".join(lines), "utf-8")
        (self.path / "port").write_text(str(port), "utf-8")
        return file

    def scratch(self) -> Path:
        """For native libraries; a killed broker leaves them behind, so it is emptied."""
        folder = self.path / "tmp"
        folder.mkdir(exist_ok=True)
        for file in folder.iterdir():
            file.unlink()
        return folder

    def new_log(self) -> IO[bytes]:
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".log.1"))
        return self.log.open("wb")

    def log_tail(self) -> str:
        text = self.log.read_text("utf-8", "replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-TAIL_LINES:]) or "(the log is empty)"

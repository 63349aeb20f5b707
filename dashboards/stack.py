"""The supervisor of the embedded stack: starts every process of the architecture on one machine.

broker and store → topics, tables, registry → workers, correlate, alerts, sink; stopped the other way
round. What dies is started again, slower each time. Nothing outlives the supervisor: each child ends with
its parent, whatever ended that.
"""

import asyncio
import importlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import IO

from dashboards import cores, runfile
from dashboards.child import Child
from dashboards.runfile import Process, Run
from dashboards.scrape import owned, scrape
from ingest import jars, keys, ports
from ingest.settings import PREFIX, Settings
from ingest.topics import EVENTS, INBOX, PARTITIONS
from tracefuse.clock import now_us
from tracefuse.errors import TracefuseError

# Takes 6 on two cores, 10 when they are busy.
START_SECONDS = 60.0
FETCH_SECONDS = 240.0  # more for the very first start: 45 MB of jars over a slow line
STOP_SECONDS = 15.0  # per group; workers save their state, the broker flushes
POLL_SECONDS = 0.2
ROTATE_SECONDS = 15.0  # between two looks at the size of logs
YIELDING = 10  # nice of store and sink: rows can wait, verdicts cannot

Say = Callable[[str], None]


class StackFailed(TracefuseError):
    """The stack did not start. To the operator: the text ends with what the process said last."""


def worker_count(cores: int) -> int:
    """Workers by default: one core is left to broker and store.

    >>> [worker_count(cores) for cores in (1, 2, 4, 64)]
    [1, 1, 3, 8]
    """
    return max(1, min(cores - 1, PARTITIONS))


class Stack:
    """All processes of one machine, in a folder.

    Parameters
    ----------
    settings
        Its `home` is the folder; addresses are chosen by the stack, the last run's if they are free.
    workers
        Faust workers, 1 to 8; 0 chooses by the number of cores it may use.
    say
        Takes each step of the progress, for people.

    Raises
    ------
    StackFailed, runfile.StackInUse, ConfigError
        To the operator, from `start`, which has then stopped what it had started.
    """

    def __init__(self, settings: Settings, workers: int = 0, say: Say = lambda _: None):
        home = Path(settings.home).absolute()
        self.home = home
        self.settings = replace(settings, home=str(home))
        self.workers = workers or worker_count(len(cores.usable()))
        self._say = say
        self._children: dict[str, Child] = {}
        self._restart_at: dict[str, float] = {}
        self._claim: IO[str] | None = None
        self._run = Run(os.getpid(), "starting", {}, now_us())

    @property
    def addresses(self) -> dict[str, str]:
        """Where broker and store answer."""
        return {"bootstrap": self.settings.bootstrap, "clickhouse": self.settings.clickhouse}

    def start(self) -> None:
        """Return once every partition has an owner that works."""
        begun = time.monotonic()
        self._claim = runfile.lock(self.home)
        try:
            deadline = begun + START_SECONDS + self._fetch_seconds()
            self._start_services()
            self._prepare()
            self._await_services(deadline)
            self._start_pipeline()
            self._await_owners(deadline)
        except BaseException as error:
            self._run.error = str(error)
            self.stop("failed")
            raise
        self._bind()
        self._publish("ready")
        self._say(f"ready after {time.monotonic() - begun:.1f} s")

    def supervise(self, stopped: threading.Event) -> None:
        """Keep everything running until `stopped` is set."""
        rotate_at = time.monotonic() + ROTATE_SECONDS
        while not stopped.wait(POLL_SECONDS):
            now = time.monotonic()
            if self._revive(now):
                self._bind()
                self._publish("ready")
            if now >= rotate_at:
                rotate_at = now + ROTATE_SECONDS
                for child in self._children.values():
                    child.rotate()

    def stop(self, state: str = "stopped") -> None:
        """End all processes: first who decides, then who records, then who keeps."""
        self._publish("stopping")
        for group in _stop_order(self._children):
            for name in group:
                self._children[name].terminate()
            deadline = time.monotonic() + STOP_SECONDS
            for name in group:
                if not self._children[name].wait(deadline):
                    self._say(f"{name} did not end in time and was killed")
        self._publish(state)
        if self._claim is not None:
            self._claim.close()
            self._claim = None

    def _fetch_seconds(self) -> float:
        """How much longer this start may take, because jars must be fetched first."""
        if not jars.faults(jars.cache_default() / "jars", jars.locked()):
            return 0.0
        self._say("fetching Apache Kafka, 45 MB, this once …")
        return FETCH_SECONDS

    def _start_services(self) -> None:
        last = runfile.read(self.home)
        known = last.settings if last else {}
        broker = _port(known.get("bootstrap", ""))
        store = _port(known.get("clickhouse", ""), broker)
        self.settings = replace(
            self.settings,
            bootstrap=f"{ports.HOST}:{broker}",
            clickhouse=f"{ports.HOST}:{store}",
        )
        self._add("broker", "-m", "ingest.broker", "--data", "broker", "--port", str(broker))
        self._add("store", "-m", "sql.server", "--data", "store", "--port", str(store))
        self._publish("starting")
        self._say(f"broker on {self.settings.bootstrap}, store on {self.settings.clickhouse} …")

    def _prepare(self) -> None:
        """What needs neither broker nor store, while they start."""
        keys.create(self.settings.keys_folder)
        importlib.import_module("dashboards.preparation")  # half a second

    def _await_services(self, deadline: float) -> None:
        for name in ("broker", "store"):
            child = self._children[name]

            def answers(child: Child = child) -> bool:
                return "listening on" in child.said()

            self._until(answers, [child], deadline, "answer")

    def _start_pipeline(self) -> None:
        from dashboards import preparation

        self._say("topics, tables, registry …")
        with ThreadPoolExecutor(1) as pool:
            tables: Future[list[str]] = pool.submit(preparation.tables, self.settings)
            asyncio.run(preparation.topics(self.settings))
            for number in range(self.workers):
                self._add(f"worker-{number + 1}", *ENTRY, "worker", metrics=True)
            self._add("correlate", *ENTRY, "correlate", metrics=True)
            self._add("alerts", *ENTRY, "alerts", metrics=True)
            tables.result()
        self._add("sink", *ENTRY, "sink", metrics=True)
        asyncio.run(preparation.registry(self.settings))
        self._publish("starting")
        self._say(f"{self.workers} worker(s), correlate, alerts, sink …")

    def _await_owners(self, deadline: float) -> None:
        workers = [c for name, c in self._children.items() if name.startswith("worker")]
        wanted = {(t, str(n)) for t in (EVENTS, INBOX) for n in range(PARTITIONS)}

        def complete() -> bool:
            found = [owned(scrape(child.metrics_port)) for child in workers]
            return wanted <= set().union(*found)

        self._until(complete, workers, deadline, "own all partitions")

    def _until(
        self, done: Callable[[], bool], children: Iterable[Child], deadline: float, what: str
    ) -> None:
        while not done():
            for child in children:
                if not child.alive:
                    raise StackFailed(
                        f"{child.name} ended while starting; last it said: {child.tail()}"
                    )
                if time.monotonic() > deadline:
                    raise StackFailed(
                        f"{child.name} does not {what} in time; last it said: {child.tail()}"
                    )
            time.sleep(0.05)

    def _add(self, name: str, *arguments: str, metrics: bool = False) -> None:
        port = ports.free_port(*(c.metrics_port for c in self._children.values())) if metrics else 0
        environment = {
            **os.environ,
            **self.settings.environment(),
            PREFIX + "METRICS_PORT": str(port),
            # A worker that comes back under its name keeps its partitions: no rebalance.
            PREFIX + "INSTANCE": name,
        }
        folder = [str(self.home / a) if a in ("broker", "store") else a for a in arguments]
        child = Child(
            name,
            [sys.executable, *folder],
            environment,
            self.home / "logs" / f"{name}.log",
            nice=YIELDING if name in ("store", "sink") else 0,
            metrics_port=port,
        )
        self._children[name] = child
        child.start()

    def _revive(self, now: float) -> bool:
        """Start what has died and waited long enough; true when something changed."""
        changed = False
        for name, child in self._children.items():
            if name in self._restart_at:
                if now >= self._restart_at[name]:
                    del self._restart_at[name]
                    child.start()
                    changed = True
            elif not child.alive:
                wait = child.restarts.delay(now)
                self._restart_at[name] = now + wait
                code = child.process.returncode if child.process else 0
                self._say(f"{name} ended with {code}, starts again in {wait:.1f} s: {child.log}")
                changed = True
        return changed

    def _bind(self) -> None:
        """Only once all have started: that goes faster on all cores."""
        cores.bind({name: child.pid for name, child in self._children.items() if child.alive})

    def _publish(self, state: str) -> None:
        self._run.state = state
        self._run.settings = runfile.shared(self.settings)
        self._run.processes = [
            Process(name, child.pid, child.metrics_port, child.restarts.total, child.alive)
            for name, child in self._children.items()
        ]
        runfile.write(self.home, self._run)


ENTRY = ("-m", "dashboards.cli")


def _port(address: str, *taken: int) -> int:
    """The last run's port while it is free, so that clients find us again; else another."""
    port = int(address.rpartition(":")[2] or 0)
    return port if port and port not in taken and ports.free(port) else ports.free_port(*taken)


def _stop_order(names: Iterable[str]) -> list[list[str]]:
    """Groups in the order in which they end.

    >>> _stop_order(["broker", "store", "worker-1", "correlate", "alerts", "sink"])
    [['worker-1'], ['correlate', 'alerts', 'sink'], ['store'], ['broker']]
    """
    names = list(names)
    workers = [name for name in names if name.startswith("worker")]
    rest = [name for name in names if name not in (*workers, "store", "broker")]
    keepers: list[list[str]] = [[name] for name in ("store", "broker") if name in names]
    return [workers, rest, *keepers]

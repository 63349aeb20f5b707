"""The demo: a labelled fleet on a running stack, stopped where it misbehaves, and a report with a verdict.

Prepares agents of a tenant of its own, plays them in processes of their own, says what happens while it
happens, waits until everything is stored, and judges. Exit code 1 when an event was lost or a scenario
did not end as expected.
"""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from math import ceil
from pathlib import Path

import msgspec

from dashboards import clickhouse, cpu, runfile
from dashboards.child import bound
from dashboards.demo_facts import Account, quantiles
from dashboards.demo_person import Person
from dashboards.demo_progress import Progress
from dashboards.demo_report import Report, both, report
from dashboards.demo_settling import Settling
from dashboards.demo_store import DemoStore
from dashboards.output import Output
from ingest.keys import Keys
from ingest.settings import Settings
from ingest.simulate.fleet import prepare
from ingest.simulate.journal import Change, Mark, Refusal, Tail, Told
from ingest.simulate.roles import Role, fleet
from ingest.simulate.scenarios import LASTING, REST, SCENARIOS
from tracefuse.clock import monotonic, now_us
from tracefuse.errors import ConfigError

# The last fault begins after 9 s, and its rule needs a few more.
DURATION_S_MIN = 20.0
# Agents that hang are woken and killed by the fleet well before.
FLEET_GRACE_S = 60.0
# Scenarios with a history at a time: with their twins sixteen agents, whose histories two cores take in
# within seconds, before the faults begin.
HISTORIES_MAX = 8
# Who plays beside all others works so slowly that nobody notices.
BESIDE_EPS = 2.0
_LOOK_S = 0.2
_ASK_S = 1.0


def run_demo(
    settings: Settings, keys: Keys, duration: float, rate: float, report_path: Path | None,
    everything: bool = False,
) -> int:  # fmt: skip
    """Play the scenarios for `duration` seconds at `rate` events a second; with `everything`, then the rest.

    The rest plays after the others, some at a time and each time as long again: all agents at once are too
    many for a laptop. What needs minutes plays beside them, from the start.

    Returns
    -------
    int
        0 when nothing was lost, nobody was stopped wrongly and each scenario ended as expected.

    Raises
    ------
    ConfigError
        To the operator: the duration is too short for all faults, or a service cannot be reached.
    """
    if duration < DURATION_S_MIN:
        raise ConfigError(f"--duration must be at least {DURATION_S_MIN:.0f} s: faults need it")
    play = _all if everything else _first
    made = play(settings, keys, duration, rate)
    if report_path is not None:
        report_path.write_bytes(msgspec.json.format(msgspec.json.encode(made), indent=1) + b"\n")
    for line in summary(made):
        Output().say(line)
    if report_path is not None:
        Output().say(f"report      {report_path}")
    return 1 if made.problems else 0


def _first(settings: Settings, keys: Keys, duration: float, rate: float) -> Report:
    return Demo(settings, keys, fleet()).play(duration, rate)


def _all(settings: Settings, keys: Keys, duration: float, rate: float) -> Report:
    """The first fleet, then the rest in groups; meanwhile, in a thread, what takes longer than a group."""
    beside = Demo(settings, keys, fleet(LASTING, healthy=0), name="-beside")
    seconds = max(SCENARIOS[name].lasts_s for name in LASTING)
    with ThreadPoolExecutor(1) as threads:
        lasting = threads.submit(beside.play, seconds, BESIDE_EPS)
        try:
            made = _first(settings, keys, duration, rate)
            groups = ceil(len(REST) / HISTORIES_MAX)
            for number in range(groups):
                roles = fleet(REST[number::groups], healthy=0)
                made = both(made, Demo(settings, keys, roles).play(duration, rate))
            return both(made, lasting.result())
        except BaseException:  # Ctrl-C, too: nobody waits for minutes then
            beside.end()
            raise


class Demo:
    """One performance.

    Parameters
    ----------
    settings
        Of the running stack.
    roles
        Who plays.
    name
        Ends the tenant's name, where two performances begin in one second.
    """

    def __init__(self, settings: Settings, keys: Keys, roles: Sequence[Role], name: str = ""):
        # A tenant of its own: yesterday's budgets and open breakers are not today's.
        self.tenant = f"demo-{datetime.now(UTC):%m%d-%H%M%S}{name}"
        self._settings = settings
        self._roles = roles
        self._keys = keys
        self._folder = (Path(settings.home) / "demo" / self.tenant).absolute()
        self._out = Output()
        self._accounts = {role.agent: Account() for role in roles}
        self._tails = {
            role.agent: Tail(self._folder / "journals" / f"{role.agent}.jsonl") for role in roles
        }
        self._progress = Progress()
        self._person = Person(settings, keys, self.tenant, roles)
        self._lags_ms: list[float] = []
        self._over = threading.Event()

    def end(self) -> None:
        """Let it end before its time; from another thread."""
        self._over.set()

    def play(self, duration: float, rate: float) -> Report:
        """Prepare, play, wait, judge."""
        from stream.people.registration import publish

        agents = prepare(self._folder, self._keys, self.tenant, self._roles)
        asyncio.run(publish(self._settings, self._keys, agents))
        faulty = sum(role.faulty for role in self._roles)
        self._out.say(
            f"{len(agents)} agents of tenant {self.tenant}, {faulty} of them will misbehave; "
            f"{rate:.0f} events/s for {duration:.0f} s"
        )
        with clickhouse.client(self._settings) as client:
            store = DemoStore(client, self.tenant, now_us())
            before, began = self._cpu(), monotonic()
            with self._person:
                self._watch(self._start(duration, rate), store, began + duration)
            self._hear()
            self._settle(store)
            used = {name: us - before.get(name, 0.0) for name, us in self._cpu().items()}
            facts = store.facts(quantiles(self._lags_ms))
        return report(self._roles, self._accounts, facts, self.tenant, duration, used)

    def _start(self, duration: float, rate: float) -> "subprocess.Popen[bytes]":
        """The fleet in a process of its own, which forks before it has any thread."""
        command = [
            sys.executable, "-m", "ingest.simulate", "--folder", str(self._folder),
            "--bootstrap", self._settings.bootstrap, "--tenant", self.tenant,
            "--duration", str(duration), "--rate", str(rate), "--healthy",
            str(sum(not role.scenario for role in self._roles)),
            *(f"--scenario={name}" for name in dict.fromkeys(r.scenario for r in self._roles if r.scenario)),
        ]  # fmt: skip
        with (self._folder / "fleet.log").open("wb") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for us; we end the fleet in order
                preexec_fn=bound(os.getpid()),
            )

    def _watch(self, fleet: "subprocess.Popen[bytes]", store: DemoStore, end: float) -> None:
        """Say what happens until the last agent has ended."""
        ask = monotonic() + _ASK_S
        try:
            while fleet.poll() is None and monotonic() < end + FLEET_GRACE_S:
                if self._over.wait(_LOOK_S):
                    break
                self._look()
                if monotonic() >= ask:
                    ask = monotonic() + _ASK_S
                    self._ask(store, playing=monotonic() < end)
        finally:
            if fleet.poll() is None:
                fleet.terminate()
            fleet.wait()
            self._look()

    def _look(self) -> None:
        """Read on in the journals, and hear what people did."""
        self._hear()
        for agent, tail in self._tails.items():
            entries = tail.read()
            self._accounts[agent].take(entries)
            for entry in entries:
                if isinstance(entry, Change):
                    self._say(self._progress.changed(agent, entry))
                elif isinstance(entry, Refusal):
                    self._say(self._progress.refused(agent, entry))
                elif isinstance(entry, Told):
                    self._say(self._progress.told(agent, entry))
                elif isinstance(entry, Mark):
                    self._person.begins(agent)

    def _hear(self) -> None:
        for deed in self._person.deeds():
            self._accounts[deed.agent_id].deeds.append(deed)
            self._say(self._progress.did(deed))

    def _ask(self, store: DemoStore, playing: bool) -> None:
        """Alarms that stopped nobody, and how old the newest stored event is."""
        for agent, detector, sentence, at_us in store.alarms():
            self._say(self._progress.alarm(agent, detector, sentence, at_us))
        newest = store.newest()
        if newest and playing:
            self._lags_ms.append((now_us() - newest) / 1e3)

    def _say(self, lines: list[str]) -> None:
        for line in lines:
            self._out.say(line)

    def _settle(self, store: DemoStore) -> None:
        """Wait until all that was sent is stored and nothing new comes, or the time is over."""
        exits = [account.exit for account in self._accounts.values()]
        sent = sum(one.stats.get("emitted", 0) for one in exits if one is not None)
        self._out.say(f"{sent} events were sent; waiting until they are stored")
        settling = Settling(sent, monotonic())
        while not settling.over(store.sizes(), monotonic()) and not self._over.wait(_ASK_S):
            pass
        self._ask(store, playing=False)

    def _cpu(self) -> dict[str, float]:
        """CPU time of the stack's processes so far, where a run file names them."""
        run = runfile.running(Path(self._settings.home))
        return cpu.by_kind({p.name: p.pid for p in run.processes}) if run else {}


def summary(made: Report) -> list[str]:
    """The report for people."""
    events, stop = made.events, made.latency_ms["detect_to_stop"]
    held = made.latency_ms["verdict"]
    lines = [
        "",
        f"events      {events.sent} sent, {events.stored} stored, {events.lost} lost, "
        f"{events.duplicates} twice, {events.dead_lettered} dead letters; {made.throughput_eps}/s",
        f"stops       {stop.n}, after {stop.p50} ms (median), {stop.p99} ms (p99), "
        f"{stop.max} ms (most); {made.false_trips} false, {made.false_alarms} false alarms",
        f"verdicts    {held.n} calls ran after {held.p50} ms (median), {held.p99} ms (p99), "
        f"{held.max} ms (most); {made.false_refusals} refused without a fault",
        f"cpu         {made.cpu_us_per_event.get('total', 0.0)} µs an event in the whole pipeline",
    ]
    for one in made.scenarios:
        took = one.detect_to_stop_ms if one.must_stop else one.alarm_ms
        time_taken = "" if took is None else f"{took:.0f} ms"
        verdict = one.problem or "as expected"
        lines.append(f"{one.name:<20}{one.expected:<10}{time_taken:>10}   {verdict}")
    return [*lines, *(f"PROBLEM     {problem}" for problem in made.problems)]

"""Wide stops on the real broker: obeyed without any worker, mirrored and released by correlate alone."""

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

import tracefuse
from dashboards import cli
from ingest.broker import Broker
from ingest.keys import Keys, create
from ingest.provision import provision
from ingest.settings import Settings
from ingest.topics import CONTROL_LOG, FLEET
from stream.people import orders, requests
from stream.people.orders import NotReleased
from stream.replay import replay
from tests.ordering import records, run, standing
from tests.workers import CORRELATE, Processes
from tracefuse import control, people, wire
from tracefuse.clock import monotonic
from tracefuse.errors import CircuitOpen, ConfigError
from tracefuse.people import Signed

pytestmark = pytest.mark.kafka

WIDE = ("tenant:acme", "class:acme/irreversible", "shared_tool:acme/crm.refund")
WAIT_SECONDS = 15.0


@pytest.fixture(scope="module")
def place(own_broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, Keys]:
    home = tmp_path_factory.mktemp("home")
    settings = Settings(bootstrap=own_broker.bootstrap, home=str(home))
    asyncio.run(provision(settings))
    return settings, create(settings.keys_folder)


@pytest.fixture
def correlate(place: tuple[Settings, Keys], tmp_path: Path) -> Iterator[Processes]:
    """The real process, and no worker."""
    processes = Processes(place[0], tmp_path, CORRELATE)
    processes.start("correlate")
    yield processes
    processes.stop()


@pytest.fixture
def refunds(place: tuple[Settings, Keys]) -> Iterator[tracefuse.Fuse]:
    settings, keys = place
    fuse = tracefuse.init(
        bootstrap=settings.bootstrap, credential=keys.credential("acme", "refunds"),
        access={"crm.refund": "irreversible"},
    )  # fmt: skip
    until(lambda: fuse.gate.ready)
    yield fuse
    fuse.close()


def until(condition: Callable[[], object], seconds: float = WAIT_SECONDS) -> None:
    """Wait for what another process or thread does."""
    deadline = monotonic() + seconds
    while not condition():
        assert monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def runs(fuse: tracefuse.Fuse) -> bool:
    try:
        fuse.gate.admit("0" * 32, "crm.refund", monotonic())
    except CircuitOpen:
        return False
    return True


@pytest.mark.parametrize("scope", WIDE)
def test_a_wide_stop_needs_no_worker(
    scope: str, place: tuple[Settings, Keys], refunds: tracefuse.Fuse
) -> None:
    """The agent's next call is refused; the same bytes lie with correlate and in the log."""
    settings, keys = place

    async def main() -> None:
        stop = await orders.force(settings, keys, scope, "seen it spread")
        asked = (await records(settings, FLEET, 0, scope))[-1]
        logged = await records(settings, CONTROL_LOG, wire.partition_of(scope), scope)

        assert await standing(settings, scope, "human") == stop
        assert logged[-1].value == control.encode(stop)
        assert msgspec.json.decode(asked.value, type=Signed).payload == control.encode(stop)

    run(main)
    until(lambda: not runs(refunds))
    with pytest.raises(NotReleased, match="correlate has not let go within 1 s"):
        run(lambda: orders.release(settings, keys, scope, "sorry", timeout=1.0))
    assert not runs(refunds)


def test_correlate_mirrors_and_lets_go(
    place: tuple[Settings, Keys], refunds: tracefuse.Fuse, correlate: Processes
) -> None:
    """Started after the stops above it mirrors them; each is released, and replay finds the same."""
    settings, keys = place

    async def main() -> None:
        for scope in WIDE:
            await orders.force(settings, keys, scope, "again")
            await orders.release(settings, keys, scope, "fixed", timeout=WAIT_SECONDS)
            auto, human = [await standing(settings, scope, who) for who in ("auto", "human")]

            assert auto is not None
            assert human is not None
            assert (auto.state, auto.probes, human.state) == ("half_open", 3, "closed")

    run(main)
    until(lambda: runs(refunds))  # half-open: a few probes
    correlate.stop()
    report = asyncio.run(replay.verify(settings, keys))

    assert report.exit_code == replay.SAME, replay.words(report)
    assert report.compared["command"] >= 2 * len(WIDE)


def test_the_fleet_takes_two(
    place: tuple[Settings, Keys], refunds: tracefuse.Fuse, correlate: Processes, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """One alone changes nothing; the second person stops everything with the words of the first."""
    settings, keys = place
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="two people"):
        run(lambda: orders.force(settings, keys, "fleet", "alone"))

    assert cli.main(["kill", "fleet", "--reason", "it spreads"]) == 0
    (file,) = tmp_path.glob("fleet-stop-*.json")
    assert cli.main(["cosign", str(file)]) == 0  # only reads
    assert run(lambda: standing(settings, "fleet", "human")) is None
    assert cli.main(["cosign", str(file), "--sign"]) == 0
    until(lambda: not runs(refunds))
    stop = run(lambda: standing(settings, "fleet", "human"))
    assert (stop.state, stop.reason.text) == ("forced_open", "it spreads")

    release = requests.ask(keys, "fleet", "it is mended", release=True)
    run(lambda: requests.carry_out(settings, keys, requests.cosign(release, keys)))
    human = run(lambda: standing(settings, "fleet", "human"))
    auto = run(lambda: standing(settings, "fleet", "auto"))
    assert (human.state, auto.state) == ("closed", "half_open")
    until(lambda: runs(refunds))


def test_a_release_does_not_clear_a_later_stop(
    place: tuple[Settings, Keys], correlate: Processes
) -> None:
    """Who stops while another releases is not overruled: the release ends without clearing."""
    settings, keys = place
    scope = "tenant:busy"

    async def main() -> None:
        await orders.force(settings, keys, scope, "first")
        wish, cleared = (
            people.sign(one, keys.signer("human")) for one in orders.wishes(scope, "released")
        )
        await orders.force(settings, keys, scope, "second")
        with pytest.raises(NotReleased):
            await orders.relax(settings, keys, wish, cleared, timeout=2.0)
        found = await standing(settings, scope, "human")

        assert found is not None
        assert (found.state, found.reason.text) == ("forced_open", "second")

    run(main)

"""The fleet's parent sees to it that each agent ends: in order, woken, or killed."""

import gc
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ingest import registry
from ingest.keys import Keys
from ingest.simulate import fleet as fleets
from ingest.simulate.fleet import Fleet, prepare, rates
from ingest.simulate.journal import Exit, Journal, Tail
from ingest.simulate.process import Errand
from ingest.simulate.roles import Role, fleet
from tracefuse import credentials
from tracefuse.clock import monotonic, now_us

ROLE = fleet(["tool_loop"], healthy=0)[0]


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """The parent's handlers and its frozen objects are the test's own business."""
    before = [(number, signal.getsignal(number)) for number in (signal.SIGTERM, signal.SIGINT)]
    yield
    gc.unfreeze()
    for number, handler in before:
        signal.signal(number, handler)


@pytest.fixture
def errand(tmp_path: Path) -> Errand:
    (tmp_path / "journals").mkdir()
    return Errand(tmp_path, "", "t", seed=1, end=monotonic() + 0.1)


def works(role: Role, rate: float, errand: Errand) -> None:
    journal = Journal(errand.journal(role.agent))
    journal.write(Exit(now_us(), {"emitted": 3}, 0.0))
    journal.close()


def hangs(role: Role, rate: float, errand: Errand) -> None:
    signal.signal(signal.SIGTERM, lambda *_: None)
    os.kill(os.getpid(), signal.SIGSTOP)
    works(role, rate, errand)


def refuses(role: Role, rate: float, errand: Errand) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(0.01)


def fails(role: Role, rate: float, errand: Errand) -> None:
    raise ValueError("no broker")


def children() -> set[int]:
    """Processes of ours, zombies among them."""
    return {child.pid for child in psutil.Process().children()}


def exits(errand: Errand) -> list[Exit]:
    entries = Tail(errand.journal(ROLE.agent)).read()
    return [entry for entry in entries if isinstance(entry, Exit)]


def test_a_hung_agent_is_woken_at_the_end(errand: Errand, monkeypatch: pytest.MonkeyPatch) -> None:
    """It delivers what it had, ends in order, and nothing is killed."""
    monkeypatch.setattr(fleets, "live", hangs)

    assert Fleet([ROLE], {ROLE.agent: 1.0}, errand).run() == 0
    assert exits(errand)[0].stats == {"emitted": 3}


def test_an_agent_that_will_not_end_is_killed(
    errand: Errand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the grace period it is gone, counted, and leaves no zombie."""
    monkeypatch.setattr(fleets, "live", refuses)
    monkeypatch.setattr(fleets, "GRACE_S", 0.2)

    before = children()

    assert Fleet([ROLE], {ROLE.agent: 1.0}, errand).run() == 1
    assert children() == before


def test_an_agent_that_failed_says_why(
    errand: Errand, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its journal names the error, the log has the traceback, the fleet's code is not 0."""
    monkeypatch.setattr(fleets, "live", fails)

    assert Fleet([ROLE], {ROLE.agent: 1.0}, errand).run() == 1
    assert exits(errand)[0].error == "ValueError('no broker')"
    assert "Traceback" in capfd.readouterr().err


def test_everything_an_agent_needs_is_prepared(tmp_path: Path) -> None:
    """A registry file and a credential for each; the credential is its owner's alone to read."""
    keys = Keys(b"m" * 32, b"a" * 32, b"h" * 32, b"r" * 32)
    roles = fleet(["tool_loop"], healthy=1)
    agents = prepare(tmp_path, keys, "t", roles)

    assert registry.load(tmp_path / "registry") == {("t", agent.agent): agent for agent in agents}
    for role in roles:
        path = tmp_path / "credentials" / f"{role.agent}.json"
        assert credentials.load(path) == keys.credential("t", role.agent)
        assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("wanted", [40.0, 600.0, 2000.0, 50_000.0])
def test_the_rates_of_all_agents_add_up(wanted: float) -> None:
    """The fleet is steered by its healthy agents; faulty ones and twins never exceed their pace."""
    roles = fleet()
    shares = rates(roles, wanted)

    assert sum(shares.values()) == pytest.approx(wanted, rel=0.01)
    assert max(shares[role.agent] for role in roles if role.steady) <= 30.0

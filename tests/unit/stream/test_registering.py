"""Versions of agents' files: only a signed, whole and not older one comes into force; others alarm."""

from typing import Any

import msgspec
import pytest

from ingest.agent_file import Gate, Grant
from ingest.records import InForce as InForceLine
from ingest.records import Registered, Signal
from ingest.registry import AgentFile
from ingest.topics import CONTROL_LOG
from stream.agent.agent_state import new_agent
from stream.detect import registering
from stream.detect.granting import environment
from stream.detect.registering import opened, sealed, unearned
from tests.pipe import (
    AGENT,
    HUMAN,
    REGISTRY,
    TENANT,
    VERIFIER,
    Pipe,
    Told,
    commands,
    file,
    found,
    registered,
    signals,
    summaries,
)
from tracefuse.signing import CommandSigner

STRANGER = CommandSigner("registry/1", b"x" * 32)
LATER = CommandSigner("registry/2", b"r" * 32)
RULE = {"name": "r", "when": "args.", "approvers": ["Ann"]}


class InForce(Pipe):
    """An agent whose file, version 3, caps a run at $1."""

    def __init__(self) -> None:
        super().__init__()
        self.tell(registered(version=3, budgets={"run_usd": 1.0}))

    @property
    def file(self) -> AgentFile:
        [detect] = self.detects.values()
        return detect.partition.open(f"{TENANT}/{AGENT}").file

    def stops_at(self, usd: float) -> bool:
        """Whether a run that has cost so much is stopped."""
        refunds = Told(trace_id=f"{len(self.out):032x}")
        return bool(commands(self.send(*refunds.call(1, cost_usd=usd))))


def changed(fact: Registered, **more: Any) -> Registered:
    return msgspec.structs.replace(fact, **more)


def payload(**more: Any) -> bytes:
    """A signed version says what no struct can: bytes past every check."""
    return msgspec.json.encode({"agent": AGENT, "tenant": TENANT, "version": 9, **more})


def by(signer: CommandSigner, said: bytes) -> Registered:
    fact = sealed(file(), signer)
    return changed(fact, payload=said, sig=signer.sign(f"{TENANT}/{AGENT}", said))


GOOD = registered(version=9, budgets={"run_usd": 50.0})
FORGED = {
    "no signature": (changed(GOOD, sig=b""), "not signed"),
    "another key": (sealed(file(version=9, budgets={"run_usd": 50.0}), STRANGER), "not signed"),
    "a later key": (sealed(file(version=9), LATER), "not signed"),
    "a person's key": (sealed(file(version=9), HUMAN), "not signed"),
    "a name only": (changed(GOOD, kid="human/1"), "not signed"),
    "one bit": (changed(GOOD, payload=GOOD.payload.replace(b"50.0", b"90.0")), "not signed"),
    "another agent's": (changed(registered("other", version=9), agent_id=AGENT), "not signed"),
    "not its own": (by(REGISTRY, payload(agent="other")), "of another agent"),
    "no JSON": (by(REGISTRY, b"{"), "can't be read"),
    "no text": (by(REGISTRY, b"\xff"), "can't be read"),
    "an unknown key": (by(REGISTRY, payload(autonomie=3)), "can't be read"),
    "out of bounds": (by(REGISTRY, payload(heartbeat_s=0)), "can't be read"),
    "a broken rule": (by(REGISTRY, payload(approvals=[RULE])), "approvals[0].when: rule: "),
    "an older version": (registered(version=2, budgets={"run_usd": 50.0}), "version 2, and version 3"),
    "other contents": (registered(version=3, budgets={"run_usd": 50.0}), "version 3 is in force with other"),
}  # fmt: skip


def test_a_signed_version_comes_into_force_with_its_record() -> None:
    """The next event is judged by it, and the control log keeps the signed file."""
    pipe = InForce()

    assert pipe.stops_at(2.0)
    said: list[InForceLine] = found(pipe.tell(GOOD), CONTROL_LOG, InForceLine)
    [line] = said
    assert (line.version, line.digest, line.payload) == (9, pipe.file.digest, GOOD.payload)
    assert opened(f"{TENANT}/{AGENT}", line.kid, line.sig, line.payload, VERIFIER) == pipe.file
    assert pipe.file.version == 9
    assert not pipe.stops_at(2.0)


@pytest.mark.parametrize("name", FORGED)
def test_what_is_forged_broken_or_old_changes_nothing_and_alarms(name: str) -> None:
    """File and caps stand as they were; a high signal and an incident say why."""
    fact, why = FORGED[name]
    pipe = InForce()
    before = pipe.file
    out = pipe.tell(fact)
    [signal], [incident] = signals(out), summaries(out)

    assert pipe.file == before
    assert pipe.stops_at(2.0)
    assert (signal.detector, signal.severity, signal.action) == ("registry", "high", "log")
    assert (signal.tenant, signal.agent_id) == (TENANT, AGENT)
    assert why in signal.sentence
    told = {"record_id": fact.record_id, "kid": fact.kid, "in_force": 3}
    assert signal.evidence | told == signal.evidence
    assert incident.signal == signal


GRANT = Grant(environment("prod"), "ann")
BEGAN = {"environment": "staging", "gates": {"prod": Gate(runs=9)}}
PLACES = {"environments": ("staging", "prod")}


@pytest.mark.parametrize(
    ("before", "after", "place"),
    [
        (BEGAN, BEGAN, ""),
        (BEGAN, BEGAN | PLACES, "prod"),
        (BEGAN, BEGAN | {"environment": "prod"}, "prod"),
        (BEGAN, BEGAN | PLACES | {"gates": {}}, "prod"),
        (BEGAN | {"gates": {}}, PLACES | {"environment": "staging"}, "prod"),
        (BEGAN, BEGAN | PLACES | {"grants": (GRANT,)}, ""),
        # Granted once, given up since: the old decision does not count again.
        (BEGAN | {"grants": (GRANT,)}, BEGAN | PLACES | {"grants": (GRANT,)}, "prod"),
        (BEGAN, BEGAN | PLACES | {"grants": (Grant("environment dev", "ann"),)}, "prod"),
        (BEGAN | PLACES | {"grants": (GRANT,)}, BEGAN | PLACES, ""),
        (BEGAN | PLACES, BEGAN, ""),
        (BEGAN, BEGAN | {"environments": ("dev", "staging")}, ""),
        (None, BEGAN, ""),
        (None, BEGAN | PLACES, "prod"),
        (None, BEGAN | PLACES | {"grants": (GRANT,)}, ""),
        (None, {"environment": "prod"}, ""),
    ],
)
def test_an_environment_is_added_by_a_decision_alone(
    before: dict[str, Any] | None, after: dict[str, Any], place: str
) -> None:
    """However the version names it, and whatever became of the gate."""
    old = AgentFile(AGENT, **before) if before is not None else None

    assert unearned(old, AgentFile(AGENT, **after)) == place


def test_the_worker_refuses_what_nobody_granted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signed and whole, past the command line: an alarm, and the file stands. Control: without the check
    the same version rules."""
    pipe, wide = InForce(), registered(version=9, environment="prod")
    before = pipe.file
    [signal] = signals(pipe.tell(wide))

    assert pipe.file == before
    assert "it adds prod, and nobody has granted that" in signal.sentence
    monkeypatch.setattr(registering, "unearned", lambda before, after: "")
    assert signals(pipe.tell(wide)) == []
    assert pipe.file.granted == ("prod",)


def test_the_same_version_again_is_harmless() -> None:
    """A publication that was cut short is repeated; it came into force once."""
    pipe = InForce()

    assert [len(pipe.tell(GOOD)), pipe.tell(GOOD)] == [1, []]
    assert pipe.file.version == 9


def test_a_forged_first_version_registers_nobody() -> None:
    """An agent without a file is not made one by a stranger."""
    pipe, refunds = Pipe(), Told()
    pipe.tell(sealed(file(), STRANGER))
    said = signals(pipe.send(*refunds.call(1)))

    assert [signal.detector for signal in said] == ["registry"]
    assert "has no file" in said[0].sentence


def test_without_the_signature_the_forged_file_would_rule() -> None:
    """Control: the check is all that stands between a record in the inbox and the agent's caps."""
    fact, _ = FORGED["another key"]

    with pytest.raises(ValueError, match="not signed"):
        opened(f"{TENANT}/{AGENT}", fact.kid, fact.sig, fact.payload, VERIFIER)
    trusting = type("Trusting", (), {"verify": lambda *_: True})()
    assert opened(f"{TENANT}/{AGENT}", fact.kid, b"", fact.payload, trusting).version == 9


def test_the_alarm_is_bounded() -> None:
    """Whoever writes nonsense into an inbox does not fill the signals with it."""
    pipe = InForce()
    [signal] = signals(pipe.tell(changed(GOOD, kid="k" * 9999, record_id="r" * 9999)))

    assert len(msgspec.json.encode(signal)) < 2000
    assert isinstance(signal, Signal)


def test_a_new_agent_has_no_file() -> None:
    """What `take` leaves untouched in the cases above."""
    assert not new_agent(f"{TENANT}/{AGENT}").registered

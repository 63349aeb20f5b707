"""Signs of life: without one what can't be taken back is denied, and none can be forged or kept for later."""

from math import inf

import pytest

from tracefuse import life
from tracefuse.control import Command, Reason, control_key, encode
from tracefuse.errors import CircuitOpen
from tracefuse.gate import Gate, Rejected
from tracefuse.life import SILENT_SECONDS, SKEW_SECONDS
from tracefuse.signing import CommandSigner, CommandVerifier
from tracefuse.wire import partition_of

AUTO = CommandSigner("auto/1", b"a" * 32)
HUMAN = CommandSigner("human/1", b"h" * 32)
VERIFIER = CommandVerifier({signer.kid: signer.public for signer in (AUTO, HUMAN)})
OURS = partition_of("acme/refunds")
TRACE = "0" * 32
ACCESS = {"crm.get": "read", "crm.set": "write", "crm.pay": "irreversible"}
NOW_US = 1_795_000_000_000_000
TOOLS = (*ACCESS, "unknown")


def gate() -> Gate:
    """One whose reader began at monotonic second 0."""
    made = Gate("acme", "refunds", VERIFIER, ACCESS)
    made.life.begin(0.0)
    return made


def sign(
    judged: Gate, now: float, term: int = 0, at: int | None = None, partition: int = OURS,
    signer: CommandSigner = AUTO, ago: float = 0.0,
) -> Rejected | None:  # fmt: skip
    """A sign heard at `now`, said `ago` seconds before."""
    said = NOW_US + int((now - ago) * 1e6) if at is None else at
    payload, sig = life.sealed(partition, term, said, signer)
    heard_at = NOW_US + int(now * 1e6)
    return judged.hear_life(life.key_of(partition), payload, signer.kid, sig, heard_at, now)


def allowed(judged: Gate, now: float) -> list[bool]:
    found = []
    for tool in TOOLS:
        try:
            judged.admit(TRACE, tool, now)
            found.append(True)
        except CircuitOpen:
            found.append(False)
    return found


def test_a_silent_minute_denies_what_can_not_be_taken_back() -> None:
    """Reads and writes go on, so do calls of models; a tool of which nothing is known counts as the worst."""
    judged = gate()
    sign(judged, 30.0)

    assert allowed(judged, 90.0) == [True] * 4
    assert allowed(judged, 90.1) == [True, True, False, False]
    judged.admit(TRACE, "", 90.1)
    assert sign(judged, 200.0) is None
    assert allowed(judged, 200.0) == [True] * 4


def test_it_counts_from_the_start() -> None:
    """An agent that never hears of a worker is as silent as one that heard of it long ago."""
    assert allowed(gate(), SILENT_SECONDS) == [True] * 4
    assert allowed(gate(), SILENT_SECONDS + 0.1) == [True, True, False, False]


def test_without_a_reader_nothing_is_denied() -> None:
    """An SDK over another transport hears no signs; it must not stop for that."""
    made = Gate("acme", "refunds", VERIFIER, ACCESS)

    assert made.life.until == inf
    assert allowed(made, 1e9) == [True] * 4


def test_another_partitions_worker_is_not_ours() -> None:
    """Its sign is not even looked at."""
    judged = gate()

    assert sign(judged, 50.0, partition=(OURS + 1) % 8) is None
    assert allowed(judged, 61.0)[2] is False


@pytest.mark.parametrize("signer", [HUMAN, CommandSigner("auto/1", b"x" * 32)])
def test_a_forged_sign_is_none(signer: CommandSigner) -> None:
    """By a person's key or a stranger's; it is counted."""
    judged = gate()

    assert isinstance(sign(judged, 50.0, signer=signer), Rejected)
    assert allowed(judged, 61.0)[2] is False


def test_a_kept_sign_is_none() -> None:
    """The same again, one from before, one of a former owner: whoever replays them keeps nobody alive."""
    judged = gate()
    sign(judged, 30.0, term=7)
    for now, term, at in (
        (80.0, 7, NOW_US + 30_000_000), (80.0, 7, NOW_US + 29_000_000), (80.0, 6, NOW_US + 80_000_000),
    ):  # fmt: skip
        assert sign(judged, now, term, at) is None
        assert allowed(judged, 91.0)[2] is False
    assert (
        sign(judged, 80.0, term=8, at=NOW_US + 1_000_000) is None
    )  # a new owner with a slower clock
    assert allowed(judged, 91.0)[2] is True


def test_an_expired_sign_is_none() -> None:
    """What lies on the topic since yesterday proves nothing today; clocks may differ by 30 s."""
    judged = gate()
    sign(judged, 50.0, ago=SILENT_SECONDS + SKEW_SECONDS + 1)

    assert allowed(judged, 61.0)[2] is False
    sign(judged, 61.0, ago=SILENT_SECONDS + SKEW_SECONDS - 1)
    assert allowed(judged, 61.0)[2] is True


def test_garbage_is_counted() -> None:
    """It is no sign, and no error."""
    judged = gate()
    for value in (b"", b"[]", b'{"term":0}', b"\xff"):
        found = judged.hear_life(life.key_of(OURS), value, AUTO.kid, b"", NOW_US, 1.0)
        assert isinstance(found, Rejected)
    assert judged.hear_life(life.key_of(OURS), None, "", b"", NOW_US, 1.0) is None
    assert judged.rejected == {"undecodable": 4}


def test_the_signed_file_says_what_a_tool_may_do() -> None:
    """Its word goes before the process's own, which counts where the file is silent."""
    judged = gate()
    judged.declare({"unknown": "read", "crm.get": "irreversible"})

    assert allowed(judged, 61.0) == [False, True, False, True]


def test_a_restrained_scope_stays_restrained_meanwhile() -> None:
    """Losing contact relaxes nothing: what was stopped is stopped, reads too."""
    judged = gate()
    said = Command(
        cmd_id="c", scope="tenant:acme", author="auto", action="open", state="open", epoch=1,
        reason=Reason("r"),
    )  # fmt: skip
    key, payload = control_key(said.scope, "auto"), encode(said)
    judged.hear(key, payload, AUTO.kid, AUTO.sign(key, payload), 0)

    assert allowed(judged, 1e6) == [False] * 4

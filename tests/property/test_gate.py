"""The gate against forgers, and against a ten-line model of itself (F22)."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tracefuse.control import STRICTNESS, Command, Reason, agent_scope, control_key, encode
from tracefuse.errors import CircuitOpen
from tracefuse.gate import Changed, Gate
from tracefuse.signing import CommandSigner, CommandVerifier

SIGNER = CommandSigner("auto/1", b"a" * 32)
HUMAN = CommandSigner("human/1", b"h" * 32)
VERIFIER = CommandVerifier({s.kid: s.public for s in (SIGNER, HUMAN)})
SCOPE = agent_scope("acme", "refunds")
KEY = control_key(SCOPE, "auto")
STATES = ("closed", "throttled", "half_open", "open", "forced_open")


def _command(author: str, state: str, term: int, epoch: int) -> Command:
    return Command(
        cmd_id=f"{author}-{state}-{term}-{epoch}", scope=SCOPE, author=author,  # type: ignore[arg-type]
        action="open", state=state, term=term, epoch=epoch, reason=Reason("r"),  # type: ignore[arg-type]
    )  # fmt: skip


VALID = encode(_command("auto", "open", 1, 7))
SIG = SIGNER.sign(KEY, VALID)


@settings(max_examples=10_000, deadline=None)
@given(st.integers(0, len(VALID) + len(SIG) - 1), st.integers(1, 255))
def test_no_byte_of_a_command_can_be_changed(place: int, flip: int) -> None:
    """Of 10,000 valid commands with one byte changed, none is accepted and no call is stopped."""
    whole = bytearray(VALID + SIG)
    whole[place] ^= flip
    gate = Gate("acme", "refunds", VERIFIER)
    outcome = gate.hear(
        KEY, bytes(whole[: len(VALID)]), SIGNER.kid, bytes(whole[len(VALID) :]), now=0
    )

    assert not isinstance(outcome, Changed)
    assert gate.admit("0" * 32, "t", 0.0) == 0.0
    assert sum(gate.rejected.values()) == 1


def test_control_the_unchanged_command_is_obeyed() -> None:
    """Control: the same bytes without a change stop the agent."""
    gate = Gate("acme", "refunds", VERIFIER)
    outcome = gate.hear(KEY, VALID, SIGNER.kid, SIG, now=0)

    assert isinstance(outcome, Changed)


said = st.tuples(
    st.sampled_from(("auto", "human")),
    st.sampled_from(STATES),
    st.integers(0, 2),
    st.integers(0, 3),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(said, max_size=12))
def test_it_does_what_the_model_does(script: list[tuple[str, str, int, int]]) -> None:
    """Per author the highest (term, epoch) stands, first come; the strictest of the two decides."""
    gate = Gate("acme", "refunds", VERIFIER)
    model: dict[str, tuple[tuple[int, int], str]] = {}
    for author, state, term, epoch in script:
        command = _command(author, state, term, epoch)
        signer = SIGNER if author == "auto" else HUMAN
        key, payload = control_key(SCOPE, author), encode(command)
        outcome = gate.hear(key, payload, signer.kid, signer.sign(key, payload), now=0)
        newer = author not in model or (term, epoch) > model[author][0]
        if newer:
            model[author] = ((term, epoch), state)

        assert isinstance(outcome, Changed) == newer
        strictest = max(STRICTNESS[stands] for _, stands in model.values())
        assert _runs(gate) == (strictest < STRICTNESS["half_open"])  # no probes were granted


def _runs(gate: Gate) -> bool:
    try:
        gate.admit("0" * 32, "t", 0.0)
    except CircuitOpen:
        return False
    return True

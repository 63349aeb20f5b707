"""What the gate promises: which commands count, and what they do to calls."""

import time
from typing import Any

import pytest

from tracefuse.control import (
    Command,
    Reason,
    State,
    agent_scope,
    control_key,
    encode,
    run_scope,
    tool_scope,
)
from tracefuse.errors import CircuitOpen
from tracefuse.gate import SCOPES_MAX, SKEW_US, Changed, Gate, Rejected
from tracefuse.restraint import WAIT_MAX, Restraint
from tracefuse.signing import CommandSigner, CommandVerifier

AUTO = CommandSigner("auto/1", b"a" * 32)
HUMAN = CommandSigner("human/1", b"h" * 32)
SIGNERS = {"auto": AUTO, "human": HUMAN}
VERIFIER = CommandVerifier({AUTO.kid: AUTO.public, HUMAN.kid: HUMAN.public})
AGENT = agent_scope("acme", "refunds")
TRACE = "0af7651916cd43dd8448eb211c80319c"
OTHER = "1" * 32


def gate(access: dict[str, str] | None = None) -> Gate:
    return Gate("acme", "refunds", VERIFIER, access)


def command(state: State = "open", epoch: int = 1, scope: str = AGENT, **fields: Any) -> Command:
    author = fields.pop("author", "auto")
    action = fields.pop("action", "open" if state in ("open", "forced_open") else "log")
    return Command(
        cmd_id=fields.pop("cmd_id", f"cmd-{epoch}"), scope=scope, author=author, action=action,
        state=state, epoch=epoch, reason=Reason("loop", "four identical calls"), **fields,
    )  # fmt: skip


def tell(gate: Gate, said: Command, now: int = 0) -> Changed | Rejected | None:
    """The command as it comes from the topic."""
    signer = SIGNERS[said.author]
    key, payload = control_key(said.scope, said.author), encode(said)
    return gate.hear(key, payload, signer.kid, signer.sign(key, payload), now)


def runs(gate: Gate, tool: str = "crm.refund", trace_id: str = TRACE, now: float = 0.0) -> bool:
    try:
        gate.admit(trace_id, tool, now)
    except CircuitOpen:
        return False
    return True


@pytest.mark.parametrize(
    ("scope", "stopped", "goes_on"),
    [
        (run_scope("acme", "refunds", TRACE), ("t", TRACE), ("t", OTHER)),
        (tool_scope("acme", "refunds", "crm/v2.refund"), ("crm/v2.refund", TRACE), ("t", TRACE)),
        (AGENT, ("t", TRACE), None),
        ("shared_tool:acme/crm.refund", ("crm.refund", TRACE), ("t", TRACE)),
        ("tenant:acme", ("t", TRACE), None),
        ("fleet", ("t", TRACE), None),
    ],
)
def test_each_scope_stops_its_own_calls(
    scope: str, stopped: tuple[str, str], goes_on: tuple[str, str] | None
) -> None:
    """An open scope refuses the calls in it, with its name, and no other."""
    judged = gate()
    tell(judged, command(scope=scope))

    with pytest.raises(CircuitOpen) as refusal:
        judged.admit(stopped[1], stopped[0], 0.0)
    assert (refusal.value.scope, refusal.value.cmd_id) == (scope, "cmd-1")
    assert refusal.value.reason == "four identical calls"
    if goes_on is not None:
        assert runs(judged, *goes_on)


def test_another_agents_commands_are_not_even_verified() -> None:
    """What does not concern the agent is passed over before the signature is looked at."""
    judged = gate()

    assert judged.hear("agent:acme/other:auto", b"junk", "auto/1", b"junk", 0) is None
    assert judged.hear("agent:else/refunds:auto", b"junk", "auto/1", b"junk", 0) is None
    assert judged.rejected == {}


def test_only_a_higher_epoch_counts() -> None:
    """Lower (term, epoch) is stale, the same with another state conflicts; neither changes a thing."""
    judged = gate()
    tell(judged, command(epoch=5, term=2))

    stale = tell(judged, command("closed", epoch=9, term=1))
    conflict = tell(judged, command("closed", epoch=5, term=2))
    again = tell(judged, command(epoch=5, term=2, issued_at=7))

    assert isinstance(stale, Rejected)
    assert isinstance(conflict, Rejected)
    assert (stale.reason, conflict.reason, again) == ("stale", "conflict", None)
    assert not runs(judged)
    assert tell(judged, command("closed", epoch=6, term=2)) == Changed(
        command("closed", epoch=6, term=2)
    )
    assert runs(judged)


def test_the_strictest_of_person_and_worker_wins() -> None:
    """A worker's release does not lift a person's stop, and the other way round."""
    judged = gate()
    tell(judged, command("forced_open", epoch=10**15, author="human"))
    tell(judged, command("closed", epoch=3))

    assert not runs(judged)
    tell(judged, command("open", epoch=4))
    tell(judged, command("closed", epoch=10**15 + 1, author="human"))
    assert not runs(judged)
    tell(judged, command("closed", epoch=5))
    assert runs(judged)


def test_a_key_signs_for_its_own_author_alone() -> None:
    """The workers' key cannot speak as a person, nor a person's as a worker."""
    judged = gate()
    said = command("forced_open", author="human")
    key, payload = control_key(said.scope, "human"), encode(said)
    outcome = judged.hear(key, payload, AUTO.kid, AUTO.sign(key, payload), 0)

    assert isinstance(outcome, Rejected)
    assert outcome.reason == "author"
    assert runs(judged)


def test_a_signed_command_under_another_key_is_refused() -> None:
    """The record's key must be the command's scope and author, or a stop could be moved elsewhere."""
    judged = gate()
    payload = encode(command("closed", scope=run_scope("acme", "refunds", TRACE)))
    key = control_key(AGENT, "auto")
    outcome = judged.hear(key, payload, AUTO.kid, AUTO.sign(key, payload), 0)

    assert isinstance(outcome, Rejected)
    assert outcome.reason == "scope"


def test_expiry_voids_only_what_relaxes() -> None:
    """A stop is obeyed however old; an expired release or probe changes nothing."""
    judged = gate()
    late = SKEW_US + 2
    tell(judged, command("open", epoch=1, expires_at=1), now=late)

    assert not runs(judged)
    closed = tell(judged, command("closed", epoch=2, expires_at=1), now=late)
    half = tell(judged, command("half_open", epoch=3, expires_at=1, probes=3), now=late)
    assert isinstance(closed, Rejected)
    assert isinstance(half, Rejected)
    assert not runs(judged)
    tell(judged, command("closed", epoch=2, expires_at=1), now=1)
    assert runs(judged)


def test_an_expired_probe_without_its_stop_is_a_stop() -> None:
    """After a restart the stop before it is compacted away; what it relaxed still stands."""
    judged = gate()
    tell(judged, command("half_open", epoch=3, expires_at=1, probes=3), now=SKEW_US + 2)

    assert not runs(judged)


def test_half_open_lets_its_probes_through_once() -> None:
    """As many calls as the command says, also when it is said again; a new epoch begins anew."""
    judged = gate()
    tell(judged, command("half_open", epoch=3, probes=2))

    assert [runs(judged) for _ in range(4)] == [True, True, False, False]
    tell(judged, command("half_open", epoch=3, probes=2, issued_at=9))
    assert not runs(judged)
    tell(judged, command("half_open", epoch=4, probes=1))
    assert [runs(judged), runs(judged)] == [True, False]


def test_a_probe_that_did_not_run_is_given_back() -> None:
    """Refused by the owner after the gate let it through: another may try, but never one more."""
    judged = gate()
    tell(judged, command("half_open", epoch=3, probes=1))
    assert [runs(judged), runs(judged)] == [True, False]
    judged.back(TRACE, "crm.refund")
    judged.back(TRACE, "crm.refund")
    assert [runs(judged), runs(judged)] == [True, False]


def test_what_is_on_trial_is_counted_by_its_owner() -> None:
    """A scope of the agent alone that is half open: its calls wait; a wide one has no such owner."""
    judged = gate()
    assert not judged.trying(TRACE, "crm.refund")
    tell(judged, command("half_open", epoch=3, scope="tenant:acme", probes=3))
    assert not judged.trying(TRACE, "crm.refund")
    tell(judged, command("half_open", epoch=4, scope=run_scope("acme", "refunds", TRACE), probes=3))
    assert judged.trying(TRACE, "crm.refund")
    assert not judged.trying(OTHER, "crm.refund")
    tell(judged, command("open", epoch=5, scope=run_scope("acme", "refunds", TRACE)))
    assert not judged.trying(TRACE, "crm.refund")


def test_a_refused_call_takes_no_probe_elsewhere() -> None:
    """A call that a wider scope stops leaves the narrower scope's probes alone."""
    judged = gate()
    tell(judged, command("half_open", scope=tool_scope("acme", "refunds", "t"), probes=1))
    tell(judged, command("open"))

    assert not runs(judged, "t")
    tell(judged, command("closed", epoch=2))
    assert runs(judged, "t")


def test_throttled_calls_are_spaced_and_wait_two_seconds_at_most() -> None:
    """Each waits for its turn; a turn that is further away than 2 s is refused."""
    judged = gate()
    tell(judged, command("throttled", interval_ms=900))
    waits = [judged.admit(TRACE, "t", 100.0) for _ in range(3)]

    assert waits == pytest.approx([0.0, 0.9, 1.8])
    assert max(waits) <= WAIT_MAX
    assert not runs(judged, now=100.0)
    assert judged.admit(TRACE, "t", 102.0) == pytest.approx(0.7)


def test_denied_writes_let_reads_go_on() -> None:
    """With the access declared, `deny_writes` spares reads; what is not declared is denied."""
    judged = gate({"crm.get": "read", "crm.set": "write", "crm.pay": "irreversible"})
    tell(judged, command(action="deny_writes"))

    assert [runs(judged, t) for t in ("crm.get", "crm.set", "crm.pay", "x")] == [
        True, False, False, False,
    ]  # fmt: skip
    tell(judged, command(epoch=2, action="deny_irreversible"))
    assert [runs(judged, t) for t in ("crm.get", "crm.set", "crm.pay", "x")] == [
        True, True, False, False,
    ]  # fmt: skip
    assert runs(judged, "")  # a model call changes nothing outside


def test_a_class_stops_its_tools_and_those_of_unknown_class() -> None:
    """Scope `class` binds tools declared to be of it, and undeclared ones: they might be."""
    judged = gate({"crm.get": "read", "crm.pay": "irreversible"})
    tell(judged, command(scope="class:acme/irreversible"))

    assert [runs(judged, tool) for tool in ("crm.get", "crm.pay", "x")] == [True, False, False]


def test_a_shadow_command_stops_nobody() -> None:
    """Other modes than `enforce` are heard and acknowledged, not obeyed."""
    judged = gate()

    assert isinstance(tell(judged, command(mode="metrics_only")), Changed)
    assert runs(judged)


def test_a_tombstone_ends_a_workers_word_but_not_a_persons() -> None:
    """Workers clear a run that ended; a person's stop ends by a signature of a person alone."""
    judged = gate()
    scope = run_scope("acme", "refunds", TRACE)
    tell(judged, command(scope=scope))
    tell(judged, command("forced_open", author="human"))

    ended = control_key(scope, "auto")
    gone = judged.hear(ended, None, AUTO.kid, AUTO.sign(ended, b""), 0)
    kept = judged.hear(control_key(AGENT, "human"), None, "", b"", 0)
    assert isinstance(gone, Changed)
    assert gone.gone
    assert isinstance(kept, Rejected)
    assert not runs(judged)
    key = control_key(AGENT, "human")
    assert isinstance(judged.hear(key, None, HUMAN.kid, HUMAN.sign(key, b""), 0), Changed)
    assert runs(judged)


def test_a_call_that_finds_one_scope_taken_meanwhile_keeps_no_place_in_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another thread took the last place after this one had looked: the run's place is free again."""
    judged = gate()
    tell(judged, command("half_open", scope=run_scope("acme", "refunds", TRACE), probes=1))
    tell(judged, command("half_open", probes=1))
    late, taken = judged._table.get(AGENT), Restraint.take
    assert late is not None
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(
            Restraint, "take", lambda one, now: None if one is late else taken(one, now)
        )
        with pytest.raises(CircuitOpen):
            judged.admit(TRACE, "t", 0.0)

    assert judged.admit(TRACE, "t", 0.0) == 0.0


@pytest.mark.parametrize("author", ["nobody", "a person", "a worker"])
def test_no_tombstone_ends_what_no_run_ended(author: str) -> None:
    """Without a signature none ends a run's stop either; of the agent's own stop a worker's neither."""
    judged, agent = gate(), control_key(AGENT, "auto")
    run = control_key(run_scope("acme", "refunds", TRACE), "auto")
    tell(judged, command(scope=run_scope("acme", "refunds", TRACE)))
    tell(judged, command())
    signer = {"a person": HUMAN, "a worker": AUTO}.get(author)
    for key in (agent,) if author == "a worker" else (agent, run):
        kid, sig = (signer.kid, signer.sign(key, b"")) if signer else ("auto/1", b"")

        assert isinstance(judged.hear(key, None, kid, sig, 0), Rejected)
    assert judged.seen(TRACE, "t") == {AGENT: (0, 1), run.rpartition(":")[0]: (0, 1)}
    assert not runs(judged)


def test_unknown_versions_and_garbage_are_counted_by_reason() -> None:
    """Nothing that is not exactly a command changes anything."""
    judged = gate()
    key = control_key(AGENT, "auto")
    tell(judged, command(v=2))
    for payload in (b"[]", b'{"cmd_id":"\xff"}', b"[" * 100_000):
        judged.hear(key, payload, AUTO.kid, AUTO.sign(key, payload), 0)
    judged.hear(key, encode(command()), AUTO.kid, b"x" * 64, 0)

    assert judged.rejected == {"version": 1, "undecodable": 3, "signature": 1}
    assert runs(judged)


def test_what_was_seen_travels_with_each_call() -> None:
    """Events carry term and epoch of the call's scopes, closed ones too, and of no other scope."""
    judged = gate()
    tell(judged, command("closed", epoch=4, term=1))
    tell(judged, command(epoch=9, scope=run_scope("acme", "refunds", OTHER)))

    assert judged.seen(TRACE, "t") == {AGENT: (1, 4)}
    assert gate().seen(TRACE, "t") is None


def test_it_is_bounded_and_forgets_no_stop_of_the_agent() -> None:
    """Beyond the bound closed scopes leave first, then the oldest runs; the agent's stop stays."""
    judged = Gate("acme", "refunds", _Believer())
    tell(judged, command())
    for number in range(SCOPES_MAX + 100):
        tell(judged, command(scope=run_scope("acme", "refunds", f"{number:032x}")))

    assert judged.evicted == 101
    assert not runs(judged)
    assert judged.seen("f" * 32, "") == {AGENT: (0, 1)}


def test_asking_costs_less_than_five_microseconds() -> None:
    """The best of many tries, with several scopes restrained."""
    judged = gate()
    for number in range(100):
        tell(judged, command(scope=tool_scope("acme", "refunds", f"t{number}")))
    tell(judged, command("throttled", interval_ms=0))
    costs = []
    for _ in range(20):
        start = time.thread_time_ns()
        for _ in range(200):
            judged.admit(TRACE, "crm.refund", 0.0)
        costs.append((time.thread_time_ns() - start) / 200 / 1000)

    assert min(costs) < 5.0


class _Believer(CommandVerifier):
    """Takes every signature, so that thousands of commands cost nothing."""

    def __init__(self) -> None:
        super().__init__({})

    def verify(self, kid: str, record_key: str, payload: bytes, sig: bytes) -> bool:
        return True

"""The record of an undo: who agreed to which plan, and what earlier attempts have done. Pure.

Each attempt to take a trace back is a run of its own whose id follows from the trace and the attempt's
number: two people who try at once get the same id, so one partition's order tells who was first. The
record of an attempt is one event, `x.undo.plan`, with the signed agreement; what became of each call is
told by the results of the attempt's own calls.
"""

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from stream.people.undoing import Change, Plan
from tracefuse.errors import TracefuseError
from tracefuse.signing import CommandSigner, CommandVerifier, packed

PLAN = "x.undo.plan"
# Each is looked for when a plan is listed; whoever needs more has another problem.
ATTEMPTS_MAX = 100
PERSON = "human"
# How the end of a process shows in a result: what its hook did until then is not known.
CUT_SHORT = ("KeyboardInterrupt", "SystemExit")

# What is known of a call's undo. ``open``: begun, and nobody knows how it ended, or still under way.
Outcome = Literal["undone", "open", "failed"]
_FIRM: tuple[Outcome, ...] = ("failed", "open", "undone")  # of two attempts the later word wins

_encode = msgspec.json.Encoder(order="deterministic").encode


class NotAgreed(TracefuseError):
    """Nobody has agreed to this plan as it is now. To the person at the keyboard: the text says why."""


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """A person's word on one plan.

    Parameters
    ----------
    run, boot_id
        The attempt: its trace id, and the process that carries it out.
    digest
        Of the plan.
    by, reason, at
        Who agreed, why, and when (µs UTC).
    calls
        What is taken back, by call id: the id of the call that does it.
    """

    tenant: str
    agent_id: str
    trace_id: str
    run: str
    boot_id: str
    digest: str
    by: str
    reason: str
    at: int
    calls: dict[str, str]


class Seen(NamedTuple):
    """One event of an attempt, as ClickHouse has it."""

    run: str
    name: str
    boot_id: str
    call_id: str = ""
    status: str = ""
    error_type: str = ""
    attrs: str = ""


class Standing(NamedTuple):
    """What the attempts so far have done: by call id, and how many there were."""

    outcomes: dict[str, Outcome]
    attempts: int


def run_of(tenant: str, agent_id: str, trace_id: str, number: int) -> str:
    """Trace id of an attempt, counted from 1.

    >>> run_of("acme", "refunds", "0" * 32, 1)
    '7960e0c64b6430279820ef62c9e836fb'
    """
    parts = ("undo", tenant, agent_id, trace_id, str(number))
    return hashlib.sha256(packed(*(part.encode() for part in parts))).hexdigest()[:32]


def signed(agreement: Agreement, signer: CommandSigner) -> dict[str, Any]:
    """The agreement as attributes of its event."""
    payload = _encode(agreement)
    sig = signer.sign(_key(agreement.run), payload)
    return {"agreement": payload.decode(), "kid": signer.kid, "sig": b64encode(sig).decode()}


def opened(attrs: Mapping[str, Any], run: str, verifier: CommandVerifier) -> Agreement:
    """The agreement of an event of a run. Raises `ValueError`: no person has signed it for this run."""
    try:
        payload = str(attrs["agreement"]).encode()
        kid, sig = str(attrs["kid"]), b64decode(str(attrs["sig"]))
        agreement = msgspec.json.decode(payload, type=Agreement)
    except (KeyError, ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise ValueError(f"it can't be read ({str(error)[:200]})") from error
    if kid.partition("/")[0] != PERSON or agreement.run != run:
        raise ValueError("it is no person's word on this run")
    if not verifier.verify(kid, _key(run), payload, sig):
        raise ValueError("its signature does not fit")
    return agreement


def first(seen: Iterable[Seen], run: str, verifier: CommandVerifier) -> Agreement | None:
    """The agreement under which a run goes on: the first that a person signed, in the log's order."""
    for one in seen:
        if one.run == run and one.name == PLAN:
            try:
                return opened(msgspec.json.decode(one.attrs, type=dict[str, Any]), run, verifier)
            except ValueError:
                continue  # somebody else's words, in the agent's name
    return None


def standing(
    tenant: str, agent_id: str, trace_id: str, seen: list[Seen], verifier: CommandVerifier
) -> Standing:
    """What has become of each call that anybody agreed to take back.

    Parameters
    ----------
    seen
        Events of all attempts; those of one run in the log's order.
    """
    outcomes: dict[str, Outcome] = {}
    attempts = 0
    for number in range(1, ATTEMPTS_MAX + 1):
        run = run_of(tenant, agent_id, trace_id, number)
        agreement = first(seen, run, verifier)
        if agreement is None:
            break
        attempts = number
        told = [one for one in seen if (one.run, one.boot_id) == (run, agreement.boot_id)]
        for call_id, by_call in agreement.calls.items():
            outcome = _outcome([one for one in told if one.call_id == by_call], _over(told))
            known = outcomes.get(call_id)
            if outcome and (known is None or _FIRM.index(outcome) > _FIRM.index(known)):
                outcomes[call_id] = outcome
    return Standing(outcomes, attempts)


def left(plan: Plan, known: Standing, again: Iterable[str] = ()) -> list[Change]:
    """What is to be taken back now, the newest first.

    A call whose undo failed, or was cut short, may be half taken back: it is tried once more only where
    a person, who has looked, names it in `again`.
    """
    once_more = set(again)
    over = {
        call_id
        for call_id, outcome in known.outcomes.items()
        if outcome == "undone" or call_id not in once_more
    }
    return [change for change in plan.of("can") if change.done.call_id not in over]


def _over(told: list[Seen]) -> bool:
    return any(one.name == "run.end" for one in told)


def _outcome(told: list[Seen], over: bool) -> Outcome | None:
    """What the events of one undoing call say; None where it never ran."""
    if not told:
        return None if over else "open"
    last = told[-1]
    if last.name != "tool.result":
        return "open"
    if last.status == "not_run":
        return None
    if last.status == "error":
        return "open" if last.error_type in CUT_SHORT else "failed"
    return "undone"


def _key(run: str) -> str:
    """What the signature is for, besides the bytes: no other signature of a person fits."""
    return f"undo:{run}"

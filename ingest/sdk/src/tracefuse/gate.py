"""What this agent may do now: commands in, an answer to each call out. Pure: no clock, no I/O.

    control topic ──reader──► Gate.hear ──► table ──► Gate.admit, before each call

Commands are judged on the background thread; calls ask from any thread. They meet in one table that
is replaced as a whole, so a call needs no lock. Nothing but a valid command ever relaxes anything.
"""

from collections.abc import Mapping
from itertools import chain
from typing import NamedTuple

import msgspec

from tracefuse import people
from tracefuse.control import Command, concerns, control_key, decode, partitions_of_agent
from tracefuse.errors import CircuitOpen
from tracefuse.life import Life
from tracefuse.people import Signed
from tracefuse.restraint import Entry, Restraint, Table, restrains
from tracefuse.signing import CommandVerifier

# Scopes that are remembered. Runs come and go, so the oldest of them leave first.
SCOPES_MAX = 8192
# How far the clocks of agent and worker may differ when an expiry is judged (F12).
SKEW_US = 30_000_000
COMMAND_VERSION = 1


class Changed(NamedTuple):
    """A command that is now in force; a tombstone leaves `command` as it was before, `gone` True."""

    command: Command
    gone: bool = False


class Rejected(NamedTuple):
    """A record that counts for nothing, and why."""

    reason: str
    key: str
    kid: str


class Gate:
    """Commands that bind one agent, and what follows for its calls.

    Parameters
    ----------
    tenant, agent_id
        Whose calls these are.
    verifier
        Knows the public keys whose commands are obeyed.
    access
        By tool ``read``, ``write`` or ``irreversible``, so that a command which denies writes lets
        reads go on. A tool that is not named is denied by each of them.

    Notes
    -----
    0.1 µs a call while nothing is restrained, 1 µs otherwise; 200 µs a command. At most 8,192 scopes:
    closed ones and the oldest runs leave first.

    Examples
    --------
    >>> gate = Gate("acme", "refunds", CommandVerifier({}))
    >>> gate.hear("agent:acme/refunds:auto", b"{}", kid="auto/1", sig=b"", now=0)
    Rejected(reason='signature', key='agent:acme/refunds:auto', kid='auto/1')
    >>> gate.admit("0" * 32, "crm.refund", now=0.0)
    0.0
    """

    def __init__(
        self,
        tenant: str,
        agent_id: str,
        verifier: CommandVerifier,
        access: Mapping[str, str] | None = None,
    ) -> None:
        self.ready = False  # whether the first snapshot was read
        self.rejected: dict[str, int] = {}
        self.evicted = 0
        self.partitions = partitions_of_agent(tenant, agent_id)
        self._tenant, self._agent_id, self._verifier = tenant, agent_id, verifier
        self.life = Life(tenant, agent_id, verifier)
        self._given = dict(access or {})
        self._access: Mapping[str, str] = self._given
        self._commands: dict[str, Command] = {}  # by record key; oldest change first
        self._table = Table()

    # -- commands: on the background thread -------------------------------------------------------

    def hear(
        self,
        key: str,
        value: bytes | None,
        kid: str,
        sig: bytes,
        now: int,
        kid2: str = "",
        sig2: bytes = b"",
    ) -> Changed | Rejected | None:
        """Judge one record of the control topic.

        Parameters
        ----------
        key, value, kid, sig
            Of the record; a value of None is a tombstone.
        now
            µs UTC, for expiry alone.
        kid2, sig2
            Of the record: a second person's, which the fleet takes.

        Returns
        -------
        Changed, Rejected or None
            None for what does not concern this agent, or says nothing new.
        """
        if not concerns(key, self._tenant, self._agent_id):
            return None
        scope, _, author = key.rpartition(":")
        signed = Signed(payload=value or b"", kid=kid, sig=sig, kid2=kid2, sig2=sig2)
        if value is None:
            return self._remove(key, author, signed)
        if kid.partition("/")[0] != author:
            return self._reject("author", key, kid)
        if not self._proven(key, author, signed):
            return self._reject("signature", key, kid)
        try:
            command = decode(value)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self._reject("undecodable", key, kid)
        if command.v != COMMAND_VERSION:
            return self._reject("version", key, kid)
        if control_key(command.scope, command.author) != key or command.scope != scope:
            return self._reject("scope", key, kid)
        return self._judge(key, kid, command, now)

    def hear_life(
        self, key: str, value: bytes | None, kid: str, sig: bytes, now_us: int, now: float
    ) -> Rejected | None:
        """Judge a sign of life; parameters as those of `Life.hear`."""
        reason = self.life.hear(key, value, kid, sig, now_us, now)
        return self._reject(reason, key, kid) if reason else None

    def knows(self, tool: str) -> bool:
        """Whether somebody has said what a tool may do."""
        return tool in self._access

    def reads(self, tool: str) -> bool:
        """Whether a tool is known to change nothing."""
        return self._access.get(tool) == "read"

    def declare(self, access: Mapping[str, str]) -> None:
        """The agent's signed file says what its tools may do; its word goes before the process's own."""
        self._access = {**self._given, **access}

    def _judge(self, key: str, kid: str, command: Command, now: int) -> Changed | Rejected | None:
        known = self._commands.get(key)
        if known is not None and (command.term, command.epoch) <= (known.term, known.epoch):
            if (command.term, command.epoch) < (known.term, known.epoch):
                return self._reject("stale", key, kid)
            if not _same(command, known):
                return self._reject("conflict", key, kid)
            if command.issued_at > known.issued_at:
                self._commands[key] = command  # the same word, said again
            return None
        if command.expires_at and now > command.expires_at + SKEW_US:
            # What restrains is obeyed however old. A probe that has expired leaves its stop standing.
            if known is not None and restrains(known) > restrains(command):
                return self._reject("expired", key, kid)
            if command.state == "half_open":
                command = msgspec.structs.replace(command, probes=0)
        self._commands.pop(key, None)
        self._commands[key] = command
        self._enact(command.scope)
        self._evict()
        return Changed(command)

    def _proven(self, key: str, author: str, signed: Signed) -> bool:
        if author == people.AUTHOR:
            return people.proven(self._verifier, key, signed)
        return self._verifier.verify(signed.kid, key, signed.payload, signed.sig)

    def _remove(self, key: str, author: str, signed: Signed) -> Changed | Rejected | None:
        known = self._commands.get(key)
        if known is None:
            return None
        # A person's stop ends by a person's signature alone, a worker's so only with its run.
        ours = author == people.AUTHOR or (
            known.scope.startswith("run:") and signed.kid.partition("/")[0] == author
        )
        if not ours or not self._proven(key, author, signed):
            return self._reject("tombstone", key, signed.kid)
        del self._commands[key]
        self._enact(known.scope)
        return Changed(known, gone=True)

    def _reject(self, reason: str, key: str, kid: str) -> Rejected:
        self.rejected[reason] = self.rejected.get(reason, 0) + 1
        return Rejected(reason, key[:256], kid[:256])

    def _evict(self) -> None:
        if len(self._commands) <= SCOPES_MAX:
            return
        closed = (k for k, c in self._commands.items() if not restrains(c))
        runs = (k for k in self._commands if k.startswith("run:"))
        oldest = next(chain(closed, runs), None)
        if oldest is not None:
            scope = self._commands.pop(oldest).scope
            self.evicted += 1
            self._enact(scope)

    def _enact(self, scope: str) -> None:
        """The strictest of the two authors decides a scope; a tie goes to the person."""
        said = [
            command
            for author in ("human", "auto")
            if (command := self._commands.get(control_key(scope, author))) is not None
        ]
        if not said:
            self._table.remove(scope)
            return
        strictest = max(said, key=restrains)
        restraint = self._table.get(scope)
        if not restrains(strictest):
            restraint = None
        elif restraint is None or not _same(restraint.command, strictest):
            restraint = Restraint(strictest)  # else the same word keeps its probes and its turns
        self._table.put(Entry(scope, restraint, (said[-1].term, said[-1].epoch)))

    # -- calls: on any thread ---------------------------------------------------------------------

    def admit(self, trace_id: str, tool: str, now: float, bundle: str = "") -> float:
        """Seconds that a call has to wait, 0.0 to 2.0; `now` is monotonic seconds, `bundle` the run's.

        Raises
        ------
        CircuitOpen
            To the agent's author: a scope of the call is stopped, its probes are taken, or nobody is
            there who could stop what can't be taken back.
        """
        table, silent = self._table, self.life.silent(now)
        if not table.restrained and not silent:
            return 0.0
        access = self._access.get(tool, "") if tool else "read"
        if silent and access not in ("read", "write"):
            raise CircuitOpen("", "no worker was heard of for a minute")
        found = table.of(trace_id, tool, access, bundle)
        return _ask(found, now) if found else 0.0

    def stopped(self, trace_id: str, tool: str, bundle: str = "") -> None:
        """The last look before a call that was admitted runs: it may have waited since.

        Raises
        ------
        CircuitOpen
            To the agent's author: a scope of the call was stopped meanwhile. Places on trial and turns
            were given when it was admitted, and stay.
        """
        table = self._table
        if not table.restrained:
            return
        access = self._access.get(tool, "") if tool else "read"
        for restraint in table.of(trace_id, tool, access, bundle):
            if restraint.stops:
                raise restraint.refusal()

    def seen(self, trace_id: str, tool: str, bundle: str = "") -> dict[str, tuple[int, int]] | None:
        """Term and epoch of each scope of a call that a command has spoken of."""
        return self._table.seen(trace_id, tool, bundle) or None if self._commands else None

    def back(self, trace_id: str, tool: str, bundle: str = "") -> None:
        """A call that was admitted was refused elsewhere: another may try in its place."""
        if self._table.restrained:
            access = self._access.get(tool, "") if tool else "read"
            for restraint in self._table.of(trace_id, tool, access, bundle):
                restraint.back()

    def trying(self, trace_id: str, tool: str, bundle: str = "") -> bool:
        """Whether a call is on trial: its owner counts such calls, so each waits for its verdict."""
        return bool(self._table.restrained) and self._table.trying(trace_id, tool, bundle)

    def stops(self, bundle: str) -> bool:
        """Whether a bundle was taken back: new runs get the stable one."""
        return self._table.stops(bundle)

    def undecided(self, tool: str) -> bool:
        """Whether a call must wait for the first snapshot: what is declared to write does."""
        return not self.ready and self._access.get(tool) in ("write", "irreversible")


def _ask(found: list[Restraint], now: float) -> float:
    for restraint in found:
        if not restraint.open(now):
            raise restraint.refusal()
    wait = 0.0
    for place, restraint in enumerate(found):
        turn = restraint.take(now)
        if turn is None:  # another thread was quicker: what was taken before is not used
            for taken in found[:place]:
                taken.back()
            raise restraint.refusal()
        wait = max(wait, turn)
    return wait


def _same(one: Command, other: Command) -> bool:
    """Whether two commands say the same, apart from when they say it."""
    return one == other or (
        msgspec.structs.replace(one, issued_at=0, expires_at=0)
        == msgspec.structs.replace(other, issued_at=0, expires_at=0)
    )

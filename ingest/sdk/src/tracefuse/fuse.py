"""The agent's end of Tracefuse: settings in, one `Fuse` out, which opens runs and ends at exit."""

import atexit
import hashlib
import os
import re
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import msgspec

from tracefuse import clock, decorators, drafts, honeytokens, ids
from tracefuse.background import Background
from tracefuse.backlog import Backlog, MemoryBacklog
from tracefuse.canonical import canonical
from tracefuse.control import Command
from tracefuse.credentials import Credential
from tracefuse.drafts import Draft, Run
from tracefuse.ears import Change, Ears, Tell
from tracefuse.emitter import Emitter
from tracefuse.envelopes import Seal
from tracefuse.evidence import Identity, Witness
from tracefuse.gate import Gate
from tracefuse.grants import Grants
from tracefuse.held import SNAPSHOT_SECONDS, Held
from tracefuse.probe_runs import Probes, Runner, read
from tracefuse.propagation import VARIABLE, current_span, parse
from tracefuse.signing import CommandVerifier
from tracefuse.spool import Spool
from tracefuse.tracing import Trace

_TRACE_ID = re.compile("[0-9a-f]{32}")

P = ParamSpec("P")
R = TypeVar("R")

# About 100 s of 2,000 events/s as they lie on disk.
SPOOL_BYTES = 256 * 1024 * 1024
# What stands in for the spool where no folder is given.
MEMORY_BYTES = 32 * 1024 * 1024
CLOSE_SECONDS = 5.0
# A longer description of a tool is hashed only.
DESCRIPTOR_MAX = 64 * 1024
WORD_MAX = 256


class Fuse:
    """One agent in one process. Made by `init`.

    Parameters
    ----------
    credential
        Name and keys of the agent.
    environment
        ``dev``, ``staging`` or ``prod``.
    bundle
        Hash of code, model, prompt and tools, where the process is one version of the agent; empty where
        it has several and asks each run (`Trace.bundle`).
    spool
        Folder where events wait while the broker is away; None keeps them in memory (32 MiB).
    transport
        Makes what brings envelopes away; called on the background thread, again after a fork.
    decision_args
        By tool, names of arguments that rules may see in clear (``amount``).
    access
        By tool ``read``, ``write`` or ``irreversible``: see `Gate`.
    commands
        Makes the reader of commands; called on the background thread, again after a fork.
    """

    def __init__(
        self,
        credential: Credential,
        *,
        environment: str,
        bundle: str,
        spool: Path | None,
        transport: Any,
        decision_args: Mapping[str, tuple[str, ...]],
        access: Mapping[str, str],
        commands: Callable[[Gate, Tell, Held], Coroutine[Any, Any, None]] | None,
    ) -> None:
        self.credential = credential
        self.environment = environment
        self.bundle = bundle
        self._spool, self._transport = spool, transport
        self._decision_args = decision_args
        self._commands = commands
        self.gate = Gate(
            credential.tenant,
            credential.agent_id,
            CommandVerifier(credential.command_keys),
            access,
        )
        self._described: dict[str, str] = {}
        self._forms: dict[str, Mapping[str, Any]] = {}  # by tool, as it describes what it returns
        self._listeners: list[Callable[[Command], None]] = []
        self._settled_by = inf  # monotonic seconds; the first call of a tool sets it
        self._begin(None)
        self._background.start()
        _living.append(self)

    def _begin(self, grants: Grants | None) -> None:
        """A life of its own for this process: queue, boot id, thread. `grants`: the file that it knows."""
        self.boot_id = ids.boot_id()
        self.boot = Run(ids.trace_id(), ids.span_id())
        self.emitter = Emitter()
        self.held = Held(self.boot_id, self._described, self._granted, grants)
        self._ears = Ears(self.emitter, self.boot, self._listeners)
        commands = self._commands
        identity = Identity(
            tenant=self.credential.tenant,
            agent_id=self.credential.agent_id,
            environment=self.environment,
            bundle=self.bundle,
            boot_id=self.boot_id,
        )
        self._background = Background(
            self.emitter,
            Witness(
                identity, self.credential.hash_key, self._decision_args, self._form, self._guards
            ),
            Seal(self.credential.kid, self.credential.envelope_key),
            self._transport,
            self._backlog,
            self.boot,
            (lambda: commands(self.gate, self._ears.tell, self.held))
            if commands is not None
            else None,
        )

    def _backlog(self) -> Backlog:
        if self._spool is None:
            return MemoryBacklog(MEMORY_BYTES)
        return Spool(self._spool, SPOOL_BYTES)

    def trace(
        self,
        task: str = "",
        user: str = "",
        session: str = "",
        trace_id: str | None = None,
        parent: str | None = None,
        bundle: str = "",
    ) -> Trace:
        """A run of the agent, to be entered with `with` or `async with`.

        Parameters
        ----------
        task
            Kind of task: runs of one kind are compared with each other.
        user
            Pseudonym of the user on whose behalf it runs.
        session
            Conversation that it belongs to.
        trace_id
            32 hex digits, where the run has an id already.
        parent
            W3C `traceparent` of the caller; default is the environment's TRACEPARENT.
        bundle
            Version that this run uses; default is the process's own, else the one that the agent's file
            gives the run. One that the file does not name may call nothing.
        """
        origin = parse(parent if parent is not None else os.environ.get(VARIABLE))
        if trace_id is None:
            trace_id = origin.trace_id if origin is not None else ids.trace_id()
        elif not _TRACE_ID.fullmatch(trace_id):
            trace_id = ids.trace_id()  # another would be refused at the other end
        run = Run(
            trace_id, ids.span_id(), task[:WORD_MAX], str(user)[:WORD_MAX], session[:WORD_MAX],
            bundle[:WORD_MAX] or self.bundle_of(trace_id),
        )  # fmt: skip
        return Trace(self, run, origin)

    def bundle_of(self, trace_id: str, probe: bool = False) -> str:
        """The version that a run gets where it names none: the process's, else the file's; may be empty.

        Of the file a probe gets the stable one, so that two of its runs can be compared.
        """
        grants = self.held.grants
        if self.bundle or grants is None:
            return self.bundle
        return grants.stable if probe else grants.bundle_of(trace_id, self.gate.stops)

    def shadow(self, trace: Trace) -> Trace | None:
        """The run in which the shadow bundle repeats a run, for the same input; None where none does.

        What it calls is decided and logged. Reads and models run; everything else is denied after its
        verdict (`ToolDenied` with the gate ``shadow``).

        Examples
        --------
        >>> with fuse.trace(task="refund") as trace:             # doctest: +SKIP
        ...     answer = refund(trace, order)
        >>> if (twin := fuse.shadow(trace)) is not None:         # doctest: +SKIP
        ...     with twin:
        ...         refund(twin, order)
        """
        run, grants = trace.run, self.held.grants
        bundle = grants.shadow_of(run.trace_id) if grants is not None else ""
        if not bundle or self.gate.stops(bundle):
            return None
        twin = Run(
            ids.trace_id(), ids.span_id(), run.task_type, run.user_id, run.session_id, bundle,
            shadow_of=run.trace_id,
        )  # fmt: skip
        return Trace(self, twin, None)

    def probes(self, path: str | Path, run: Runner) -> Probes:
        """The probes of a file (docs/probes.md), to be run through this agent now and then.

        Parameters
        ----------
        path
            JSON lines.
        run
            The agent: called with the run's trace and a probe's input, sync or async.

        Raises
        ------
        ConfigError
            To the operator, at start: mistakes of the file, each with its line.
        """
        return Probes(self, read(path, dict(self._decision_args)), run)

    def current(self) -> Trace | None:
        """The innermost open trace of this thread or task."""
        span = current_span.get()
        return span.trace if span is not None else None

    def traced(self, task: str = "") -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Decorator: each call of the function is a run; `task` defaults to its name."""
        return lambda function: decorators.traced(self, function, task)

    def tool(self, name: str = "") -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Decorator: each call of the function is a call of a tool with its arguments."""
        return lambda function: decorators.called(
            self, function, lambda trace, args: trace.tool(name or function.__name__, args)
        )

    def llm(self, model: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Decorator: each call of the function is a call of a model; arguments are the prompt."""
        return lambda function: decorators.called(
            self, function, lambda trace, args: trace.llm(model, prompt=args)
        )

    def _granted(self, grants: Grants) -> None:
        """Say which version of the file this process obeys now; on the background thread."""
        tracks = {track: bundle.hash for track, bundle in grants.bundles.items()}
        told = {"attrs": {"version": grants.version, "bundles": tracks}}
        self.emitter.emit(
            Draft("bundle", self.boot, self.boot.root, clock.now_us(), extra=told, urgent=True)
        )

    def describe(self, tool: str, descriptor: object) -> str:
        """Tell what a tool says of itself: its description and schema, as the model gets them.

        A description that was changed after the tool was approved is how an agent is hijacked through
        its tools; where the agent's file names the approved hash, such a call is denied. What it says of
        its results (`outputSchema`) is what they are held against, unless the agent's file says more.

        Returns
        -------
        str
            SHA-256 of its canonical JSON, 64 hex digits: what belongs into the agent's file.
        """
        text = canonical(descriptor)
        found = hashlib.sha256(text).hexdigest()
        self._described[tool] = found
        if len(text) <= DESCRIPTOR_MAX:  # as it is now: the agent may go on writing
            told = msgspec.json.decode(text)
            form = told.get("outputSchema") if isinstance(told, dict) else None
            self._forms[tool] = form if isinstance(form, dict) else {}
        return found

    def _form(self, tool: str) -> Mapping[str, Any]:
        """JSON Schema of what a tool returns; empty where nobody declared one. On the background thread."""
        grants = self.held.grants
        declared = grants.form(tool) if grants is not None else {}
        return declared or self._forms.get(tool, {})

    def _guards(self, tool: str) -> bool:
        """Whether the agent's file calls a tool's results confidential. On the background thread."""
        grants = self.held.grants
        return grants is not None and grants.confidential(tool)

    def honeytoken(self) -> str:
        """A value for a record that no work asks for: a run of this tenant that carries it on is stopped."""
        return honeytokens.token(self.credential.hash_key, os.urandom(honeytokens.BYTES))

    def settling(self, tool: str) -> bool:
        """Whether a call has to wait for the first commands of this process, and for its agent's file.

        What is declared to write does for as long as it is patient. Of a tool of which nothing is known
        the file may say that it is held: the first such call, and no later one, gives the file two seconds.
        """
        if self.gate.ready or not tool:
            return False
        if self._commands is None:
            return self.gate.undecided(tool)
        self._background.start()  # in a forked child nobody may have begun to listen
        if self.gate.undecided(tool):
            return True
        now = clock.monotonic()
        self._settled_by = min(self._settled_by, now + SNAPSHOT_SECONDS)
        return now < self._settled_by and not self.gate.knows(tool)

    def snapshot(self, value: object) -> object:
        """A value as it is now; never raises."""
        if value is None:
            return None
        try:
            return drafts.snapshot(value)
        except Exception:
            self.emitter.drop("value_unreadable")
            return None

    def check(self, trace_id: str, tool: str = "") -> None:
        """Ask for a call that is made without `Trace.tool`; waits for its turn, 2 s at most.

        Raises
        ------
        CircuitOpen
            To the agent's author: the call must not run.
        """
        delay = self.gate.admit(trace_id, tool, clock.monotonic())
        if delay > 0.0:
            time.sleep(delay)
            self.gate.stopped(trace_id, tool)

    @property
    def changes(self) -> Sequence[Change]:
        """The latest changes of the gate, oldest first: when, by both clocks, and which command."""
        return self._ears.changes

    def on_change(self, listener: Callable[[Command], None]) -> None:
        """Call a function after each command that came into force, on the background thread."""
        self._listeners.append(listener)

    def stats(self) -> dict[str, Any]:
        """What became of the events so far."""
        background, delivery = self._background, self._background.delivery
        return {
            "emitted": background.emitted,
            "delivered": delivery.delivered if delivery else 0,
            "spooled": delivery.spooled if delivery else 0,
            "adopted": delivery.adopted if delivery else 0,
            "in_flight": delivery.in_flight if delivery else 0,
            "queued": len(self.emitter),
            "control_rejected": dict(self.gate.rejected),
            "backlog_bytes": delivery.backlog_bytes if delivery else 0,
            "dropped": dict(self.emitter.dropped),
        }

    def close(self, timeout: float = CLOSE_SECONDS) -> None:
        """Send what waits, at most `timeout` seconds; what is left stays in the spool."""
        if self in _living:
            _living.remove(self)
            self._background.close(timeout)


# All that must flush at exit, and begin anew in a forked child.
_living: list[Fuse] = []
# A child keeps its parent's loops and sockets from being collected: closing them would close the
# parent's registrations too.
_inherited: list[object] = []


def _after_fork() -> None:
    for fuse in _living:
        _inherited.append(fuse._background)
        fuse._begin(fuse.held.grants)
        if fuse._commands is not None:
            fuse.gate.ready = False  # nobody listens in this process yet
            fuse._settled_by = inf
        # Most children never emit; the first event of one that does starts its thread.
        fuse.emitter.attach(fuse._background.start)


def _at_exit() -> None:
    while _living:
        _living[-1].close()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)

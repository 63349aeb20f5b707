"""Taking a run back: a run of the same agent through the SDK, so every gate that binds the agent binds it.

    agreement ──► x.undo.plan ──► on record, and the first? ──► undo calls, the newest first ──► run.end

Nothing is called before ClickHouse shows the agreement; the first refusal or failure ends it.
"""

import importlib
import inspect
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import msgspec
from clickhouse_connect.driver.client import Client

import tracefuse
from dashboards.undo_facts import Run, seen
from ingest.agent_file import AgentFile
from ingest.keys import Keys
from ingest.settings import Settings
from stream.people.undo_record import (
    ATTEMPTS_MAX,
    PLAN,
    Agreement,
    NotAgreed,
    Standing,
    first,
    left,
    run_of,
    signed,
)
from stream.people.undoing import Change, Plan, State
from tracefuse import clock
from tracefuse.drafts import Draft
from tracefuse.errors import ConfigError, Refused

# A starting process hears its file within a second; a loaded broker takes a few.
HEARD_SECONDS = 20.0
# An event is in ClickHouse after one to two seconds; a sink that comes back takes some more.
RECORDED_SECONDS = 30.0
LOOK_SECONDS = 0.1
# As long as a rule's request to a person lasts unless the file says otherwise.
PATIENCE_SECONDS = 900.0
CLOSE_SECONDS = 10.0


class TakeBack(msgspec.Struct, frozen=True):
    """What a hook is told: the call that it takes back, and the states around that call.

    Parameters
    ----------
    tool, call_id, trace_id
        Of the call. The id is what a hook should remember, so that it never acts twice.
    decision_args
        Arguments of the call that were told in clear; all others are known as hashes only.
    before, after
        The states that the agent told, None where it told none.
    """

    tool: str
    call_id: str
    trace_id: str
    decision_args: Mapping[str, Any]
    before: State | None
    after: State | None


Hook = Callable[[TakeBack], object]


@dataclass(slots=True)
class Report:
    """What an attempt has done: `stopped` says why it ended early, `at` by which call."""

    run: str = ""
    undone: list[Change] = field(default_factory=list)
    stopped: str = ""
    at: Change | None = None
    untouched: list[Change] = field(default_factory=list)
    recorded: bool = True


@dataclass(frozen=True, slots=True)
class Word:
    """A person's yes: to which plan, who, why."""

    digest: str
    by: str
    reason: str


def load(name: str) -> dict[str, Hook]:
    """The mapping `HOOKS` of a module on the Python path. Raises `ConfigError` to the operator."""
    try:
        hooks = importlib.import_module(name).HOOKS
    except Exception as error:  # a foreign module may fail in any way
        text = f"{type(error).__name__}: {error}"
        raise ConfigError(f"hooks {name}: {text} (is it on PYTHONPATH?)") from error
    if not isinstance(hooks, Mapping):
        raise ConfigError(f"hooks {name}: HOOKS is no mapping from tools to functions")
    for tool, hook in hooks.items():
        if not callable(hook) or inspect.iscoroutinefunction(hook):
            raise ConfigError(f"hooks {name}: {tool} is no plain function")
    return dict(hooks)


class Undo:
    """One attempt.

    Parameters
    ----------
    run, plan, file
        The run as it is recorded, what to take back of it, and the agent's file in force.
    client
        ClickHouse, where the record is looked for.
    """

    def __init__(
        self, settings: Settings, keys: Keys, client: Client, run: Run, plan: Plan, file: AgentFile
    ) -> None:
        self._settings, self._keys, self._client = settings, keys, client
        self._run, self._plan, self._file = run, plan, file

    def carry_out(
        self, word: Word, known: Standing, hooks: Mapping[str, Hook], again: tuple[str, ...] = ()
    ) -> Report:
        """Take back what is left, the newest first, until one is refused or fails.

        Raises
        ------
        NotAgreed
            To the person, before anything is called: the word is on another plan, somebody else was
            first, or the agreement is not on record.
        ConfigError
            To the operator, before anything is called: a hook is missing, or the human key.
        """
        if word.digest != self._plan.digest:
            raise NotAgreed(f"the plan is now {self._plan.digest}: read it again, nothing was done")
        changes = left(self._plan, known, again)
        if not changes:
            return Report()
        if missing := sorted({change.undo for change in changes} - hooks.keys()):
            raise ConfigError(f"no hook for {', '.join(missing)}: nothing was done")
        if known.attempts >= ATTEMPTS_MAX:
            raise NotAgreed(f"{ATTEMPTS_MAX} attempts were made: undo the rest by hand")
        self._keys.signer("human")  # missed before anything starts
        run = run_of(
            self._plan.tenant, self._plan.agent_id, self._plan.trace_id, known.attempts + 1
        )
        report = Report(run, untouched=list(changes))
        fuse = self._fuse(changes)
        try:
            self._attempt(fuse, word, hooks, report)
        finally:
            fuse.close(CLOSE_SECONDS)
        report.recorded = self._until(
            lambda: any(
                one.name == "run.end" and one.boot_id == fuse.boot_id for one in self._seen(run)
            )
        )
        return report

    def _fuse(self, changes: list[Change]) -> tracefuse.Fuse:
        """The agent's own fuse, once it knows the file in force and would hear verdicts."""
        tools = {change.undo: self._file.tools[change.undo] for change in changes}
        fuse = tracefuse.init(
            credential=self._keys.credential(self._plan.tenant, self._plan.agent_id),
            agent=self._plan.agent_id, tenant=self._plan.tenant,
            environment=self._run.environment, bootstrap=self._settings.bootstrap,
            decision_args={name: tool.decision_args for name, tool in tools.items()},
            access={name: tool.access for name, tool in tools.items()},
        )  # fmt: skip
        deadline = clock.monotonic() + HEARD_SECONDS
        while not (fuse.held.listening and fuse.held.grants is not None):
            if clock.monotonic() > deadline:
                fuse.close()
                raise TimeoutError
            time.sleep(LOOK_SECONDS)
        return fuse

    def _attempt(
        self, fuse: tracefuse.Fuse, word: Word, hooks: Mapping[str, Hook], report: Report
    ) -> None:
        changes = list(report.untouched)
        with fuse.trace(task="undo", user=self._run.user_id, trace_id=report.run) as trace:
            calls = [
                trace.tool(change.undo, self._arguments(change), patience=PATIENCE_SECONDS)
                for change in changes
            ]
            agreement = Agreement(
                tenant=self._plan.tenant, agent_id=self._plan.agent_id,
                trace_id=self._plan.trace_id, run=report.run, boot_id=fuse.boot_id,
                digest=word.digest, by=word.by, reason=word.reason, at=clock.now_us(),
                calls={
                    change.done.call_id: call.call_id
                    for change, call in zip(changes, calls, strict=True)
                },
            )  # fmt: skip
            attrs = signed(agreement, self._keys.signer("human"))
            fuse.emitter.emit(
                Draft(
                    PLAN, trace.run, trace.span_id, clock.now_us(),
                    extra={"kind": "contextual", "attrs": attrs}, urgent=True,
                )
            )  # fmt: skip
            self._on_record(agreement)
            for change, call in zip(changes, calls, strict=True):
                report.stopped = self._one(change, call, hooks[change.undo])
                report.untouched.remove(change)
                if report.stopped:
                    report.at = change
                    return
                report.undone.append(change)

    def _arguments(self, change: Change) -> dict[str, Any]:
        """Of the undo call: those of the call that are known, so rules may judge it, and which it is."""
        whose = {"call_id": change.done.call_id, "trace_id": self._plan.trace_id}
        return {**change.done.decision_args, **whose}

    def _one(self, change: Change, call: tracefuse.Call, hook: Hook) -> str:
        """Call one hook; returns why it was not done, empty where it was."""
        done = change.done
        told = TakeBack(
            done.tool, done.call_id, self._plan.trace_id, MappingProxyType(done.decision_args),
            done.before, done.after,
        )  # fmt: skip
        runs = False
        try:
            with call:
                runs = True
                call.result(hook(told))
        except Exception as error:  # a hook may fail in any way
            if isinstance(error, Refused) and not runs:
                return f"refused, it did not run: {error}"
            return f"failed: {type(error).__name__}: {error}"
        return ""

    def _on_record(self, agreement: Agreement) -> None:
        """Wait until ClickHouse shows the agreement. Raises `NotAgreed`: it is not there, or not first."""
        verifier = self._keys.verifier()
        found: list[Agreement | None] = [None]

        def shown() -> bool:
            found[0] = first(self._seen(agreement.run), agreement.run, verifier)
            return found[0] is not None

        if not self._until(shown):
            raise NotAgreed("the agreement did not reach ClickHouse: nothing was done")
        if found[0] != agreement:
            raise NotAgreed("somebody else was first to undo this trace: nothing was done")

    def _seen(self, run: str) -> list[Any]:
        return seen(self._client, self._run, [run])

    def _until(self, condition: Callable[[], bool]) -> bool:
        deadline = clock.monotonic() + RECORDED_SECONDS
        while not condition():
            if clock.monotonic() > deadline:
                return False
            time.sleep(LOOK_SECONDS)
        return True

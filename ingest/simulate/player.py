"""Plays scripts through the real SDK, the way an agent's code would, and keeps the tools' own log."""

import os
import signal
import time
from typing import Any

import tracefuse
from ingest.simulate.journal import Call, Journal, Mark, Refusal, Told
from ingest.simulate.pace import Pace
from ingest.simulate.script import BAIT, Act, Ask, Freeze, Hand, Keep, Know, Move, Say, Script, Tell
from tracefuse.clock import monotonic, now_us
from tracefuse.errors import ApprovalRequired, Refused, ToolDenied

_LISTEN_S = 0.2
# Events that a run costs besides its moves: start, input, output, end.
_FRAME = 4


class ToolFailure(Exception):
    """A simulated tool failed. Never leaves the player; subclasses bear the error's name."""


_failures: dict[str, type[ToolFailure]] = {}


def failure(name: str) -> ToolFailure:
    """An exception whose class is called `name`, as that of a real client library would be."""
    if name not in _failures:
        _failures[name] = type(name, (ToolFailure,), {})
    return _failures[name](f"{name} by the scenario")


class Player:
    """One agent at work.

    Parameters
    ----------
    fuse
        The SDK, as any agent has it.
    journal
        Where tools log their calls, apart from Tracefuse.
    pace
        How fast healthy work goes; urgent scripts have times of their own.
    """

    def __init__(self, fuse: tracefuse.Fuse, journal: Journal, pace: Pace):
        self._fuse = fuse
        self._journal = journal
        self._pace = pace
        self._calls = 0
        self._token = ""  # a honeytoken, once a script wants one
        self.stopping = False
        """Set to end the run after the current move."""

    def play(self, script: Script) -> bool:
        """Play one run; false when it was refused to go on."""
        try:
            with self._fuse.trace(
                task=script.task, user=script.user, bundle=script.bundle
            ) as trace:
                self.through(trace, script)
            if script.shadowed and (shadow := self._fuse.shadow(trace)) is not None:
                with shadow:
                    self.through(shadow, script)
        except Refused:
            return False
        return True

    def through(self, trace: tracefuse.Trace, script: Script) -> None:
        """All moves of a run, from what the user asks to what the user gets. Raises `Refused`."""
        self._pace.note(_FRAME)
        trace.input(script.message)
        for move in script.moves:
            if self.stopping and not script.whole:
                break
            if isinstance(move, Act) and move.only_in not in ("", trace.bundle):
                continue
            if not script.urgent:
                self.keep_pace()
            self._move(trace, move, script.urgent)
        self._answer(trace, script)

    def keep_pace(self) -> None:
        """Wait for the schedule, but never long enough to miss that it is time to stop."""
        while not self.stopping and (wait := self._pace.wait(monotonic())):
            time.sleep(min(wait, _LISTEN_S))

    def _move(self, trace: tracefuse.Trace, move: Move, urgent: bool) -> None:
        scale = 1.0 if urgent else self._pace.scale(monotonic())
        match move:
            case Say(name="plan"):
                trace.plan(move.text, steps=move.steps)
            case Say():
                trace.thought(move.text, confidence=move.confidence)
            case Know():
                trace.context("retrieval", documents=move.documents)
            case Ask():
                self._ask(trace, move, scale)
            case Act():
                self._act(trace, move, scale)
            case Keep(reads=True):
                trace.memory_read(move.key, move.value)
            case Keep():
                trace.memory_write(move.key, move.value)
            case Tell():
                trace.claim(move.tool, times=move.times)
            case Hand():
                trace.handoff(move.to)
            case Freeze():
                self._journal.write(Mark(now_us(), "freeze"))
                os.kill(os.getpid(), signal.SIGSTOP)
        self._pace.note(2 if isinstance(move, Ask | Act) else 1)

    def _ask(self, trace: tracefuse.Trace, move: Ask, scale: float) -> None:
        with trace.llm(move.model) as call:
            time.sleep(move.latency_ms / 1e3 * scale)
            call.usage(
                input_tokens=move.input_tokens,
                output_tokens=move.output_tokens,
                cost_usd=move.cost_usd,
            )

    def _answer(self, trace: tracefuse.Trace, script: Script) -> None:
        said = trace.output(script.answer, schema=script.form)
        if script.form is not None:
            replaced = said != script.answer
            self._journal.write(Told(trace.trace_id, now_us(), said, script.malformed, replaced))

    def _baited(self, values: Any) -> Any:
        """Arguments or result of a call, a honeytoken where its script wants one."""
        if not isinstance(values, dict) or not any(BAIT in str(one) for one in values.values()):
            return values
        self._token = self._token or self._fuse.honeytoken()
        return {
            name: one.replace(BAIT, self._token) if isinstance(one, str) else one
            for name, one in values.items()
        }

    def _act(self, trace: tracefuse.Trace, move: Act, scale: float) -> None:
        time.sleep(move.pause_ms / 1e3)
        if move.described:
            self._fuse.describe(move.tool, move.described[0])
        if move.changes:
            trace.state(before=move.changes[0])
        asked = now_us()
        try:
            with trace.tool(
                move.tool, self._baited(move.args), patience=move.patience_s, resource=move.about
            ) as call:
                call.result(self._run(move, scale, asked, trace))
        except ToolFailure:
            pass
        except (ToolDenied, ApprovalRequired) as refusal:
            gate = refusal.gate if isinstance(refusal, ToolDenied) else "approvals"
            said = Refusal(
                trace.trace_id, move.tool, asked, now_us(), gate, refusal.reason, move.forbidden
            )
            self._journal.write(said)
            raise
        finally:
            if move.described:
                self._fuse.describe(move.tool, move.described[1])
        if move.changes:
            trace.state(after=move.changes[1])
            self._pace.note(2)

    def _run(self, move: Act, scale: float, asked: int, trace: tracefuse.Trace) -> object:
        """The tool itself: takes its time, logs that it ran, answers or fails."""
        start = now_us()
        self._calls += 1
        broken = move.fails_in and move.fails_in == trace.bundle
        error = move.error or ("Unavailable" if broken else "")
        time.sleep(move.latency_ms / 1e3 * scale)
        self._journal.write(
            Call(
                trace.trace_id,
                self._calls,
                move.tool,
                asked,
                start,
                now_us(),
                bool(error),
                move.forbidden,
                needs_person=move.patience_s > 0,
                bundle=trace.bundle,
            )
        )
        if error:
            raise failure(error)
        return self._baited(move.result)

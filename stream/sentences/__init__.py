"""Findings in words that an on-call engineer understands. Deterministic, from the evidence alone."""

from stream.sentences.agents import annotation, call_rate, detector_health, error_rate, latency
from stream.sentences.calls import (
    memory_influence,
    price_mismatch,
    skipped_step,
    tainted_argument,
    tool_changed,
    verdict,
)
from stream.sentences.people import (
    braked,
    held_back,
    refused_file,
    unacknowledged,
    unattended,
    unregistered,
    void_answer,
    void_judgement,
    void_label,
)
from stream.sentences.runs import (
    context_growth,
    cost_cap,
    exact_loop,
    no_progress,
    ping_pong,
    run_cost,
    sequence_surprise,
    silence,
)
from stream.sentences.versions import canary, canary_mix, changed, shadow

__all__ = [
    "annotation",
    "braked",
    "call_rate",
    "canary",
    "canary_mix",
    "changed",
    "context_growth",
    "cost_cap",
    "detector_health",
    "error_rate",
    "exact_loop",
    "held_back",
    "latency",
    "memory_influence",
    "no_progress",
    "ping_pong",
    "price_mismatch",
    "refused_file",
    "run_cost",
    "sequence_surprise",
    "shadow",
    "silence",
    "skipped_step",
    "tainted_argument",
    "tool_changed",
    "unacknowledged",
    "unattended",
    "unregistered",
    "verdict",
    "void_answer",
    "void_judgement",
    "void_label",
]

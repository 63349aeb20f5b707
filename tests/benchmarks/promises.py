"""Promised and measured, side by side: how a benchmark's figures are written and judged. Pure."""

from typing import Any

from dashboards.demo_facts import Quantiles

Json = dict[str, Any]


def plain(found: Quantiles) -> dict[str, float]:
    return {"p50": found.p50, "p99": found.p99, "max": found.max, "n": found.n}


def kept(figure: Json) -> bool:
    """Whether a promise was kept.

    >>> kept({"promised_max": 1.0, "measured": 1.2}), kept({"promised_min": 5, "measured": 5})
    (False, True)
    """
    measured = figure["measured"]
    return bool(
        figure.get("promised_min", measured) <= measured <= figure.get("promised_max", measured)
    )

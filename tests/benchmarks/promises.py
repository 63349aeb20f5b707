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


def line(figure: Json) -> str:
    """One figure for people, and whether it missed what was promised."""
    missed = "" if kept(figure) else "MISSED"
    return f"{figure['name']:<48}{figure['measured']:>10.3f} {figure.get('unit', ''):<14}{missed}"


def exit_code(figures: list[Json]) -> int:
    """0: all promises were kept. 2: the run counts, and one was not.

    >>> exit_code([]), exit_code([{"promised_max": 1.0, "measured": 1.2}])
    (0, 2)
    """
    return 0 if all(kept(figure) for figure in figures) else 2

"""Metrics of the stack's own processes, read where they are exposed: for the supervisor and `status`."""

import urllib.request
from collections.abc import Callable

from prometheus_client.parser import text_string_to_metric_families

from ingest.metrics import PROCESSED

SCRAPE_SECONDS = 2.0

# name -> labels -> value
Samples = dict[str, dict[tuple[tuple[str, str], ...], float]]


def scrape(port: int, fetch: Callable[[str], str] | None = None) -> Samples | None:
    """All samples of a process; None where it does not answer."""
    try:
        text = (fetch or _get)(f"http://127.0.0.1:{port}/metrics")
    except OSError:
        return None
    samples: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = tuple(sorted(sample.labels.items()))
            samples.setdefault(sample.name, {})[labels] = sample.value
    return samples


def names(metric: object) -> list[str]:
    """Names under which a metric of the catalogue is exposed.

    >>> names(PROCESSED)
    ['tracefuse_processed_records_total']
    """
    kind, base = metric._type, metric._name  # type: ignore[attr-defined]
    ends = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"], "info": ["_info"]}
    return [base + end for end in ends.get(kind, [""])]


def total(samples: Samples | None, metric: object) -> float:
    """Sum over all labels; 0 where the process did not answer."""
    return sum((samples or {}).get(names(metric)[0], {}).values())


def owned(samples: Samples | None) -> set[tuple[str, str]]:
    """(topic, partition) of everything this process has applied at least one record of."""
    found = (samples or {}).get(names(PROCESSED)[0], {})
    labels = [dict(key) for key, value in found.items() if value > 0]
    return {(label["topic"], label["partition"]) for label in labels}


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=SCRAPE_SECONDS) as answer:
        return str(answer.read().decode())

"""How far a process is behind in each of its partitions, as a metric. Shows, decides nothing."""

from collections.abc import Mapping

from ingest import metrics

LAG_SECONDS = 2.0  # between two looks at where the partitions end

Place = tuple[str, str, int]  # stage, topic, partition


class Lag:
    """What one process shows. A partition that has become another's is no longer shown.

    Its end is asked for, not taken from the last fetch: a partition that is paused, because the process
    is slow, is not fetched, and its lag is the one that matters.
    """

    def __init__(self) -> None:
        self._shown: set[tuple[str, str, str]] = set()

    def show(self, behind: Mapping[Place, int]) -> None:
        """Records written but not yet applied, of all partitions that are this process's now."""
        found = {(stage, topic, str(n)): records for (stage, topic, n), records in behind.items()}
        for gone in self._shown - found.keys():
            metrics.LAG.remove(*gone)
        for labels, records in found.items():
            metrics.LAG.labels(*labels).set(max(0, records))
        self._shown = set(found)

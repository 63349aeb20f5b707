"""How long to leave somebody alone who did not answer. Pure."""

FIRST_SECONDS, MOST_SECONDS = 1.0, 60.0


class Backoff:
    """Pauses that double with each failure in a row.

    Examples
    --------
    >>> backoff = Backoff()
    >>> backoff.failed(now=10.0)
    >>> backoff.over(10.5), backoff.over(11.0)
    (False, True)
    """

    def __init__(self) -> None:
        self.failures = 0
        self._until = 0.0

    def failed(self, now: float) -> None:
        self._until = now + min(FIRST_SECONDS * 2 ** min(self.failures, 10), MOST_SECONDS)
        self.failures += 1

    def over(self, now: float) -> bool:
        """Whether it is time to try again."""
        return now >= self._until

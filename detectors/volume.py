"""D03, statistical: more calls in a minute, or in five, than the agent's own past lets expect. Annotates."""

from array import array
from math import ceil, inf, lgamma, log, sqrt

from detectors.base import DAY_SECONDS, Json, StatisticalDetector, rounded

_LOG10 = log(10)
_HOUR_SECONDS = 3600.0
_CELLS = 48  # hours of a weekday, hours of a weekend's day
_CELL_MEMORY = 600  # minutes that a cell is made of: its hour on ten days
# Minutes after which a cell counts as much as all hours do. Bühlmann's credibility: a minute's variance about
# its hour's mean (of a geometric law 1, in squared means) to that between hours, some 0.05 of calm fleets.
_CELL_TRUST = 20
_SLOTS = 12  # of the time that is looked back over: a minute is 55 to 60 s
_PAUSE_SECONDS = 3600.0  # who calls nothing for longer is not at work; that teaches nothing
_BUSY_MIN = 10  # buckets with a call before anything is said; the prior still counts a third then
_PRIOR = 5.0  # buckets that the prior is worth
_PRIOR_MEAN = 3.0  # calls of a bucket, of an agent nobody has seen: some tools and a model
_PRIOR_MOMENT = 2 * _PRIOR_MEAN**2  # E y(y-1) of a geometric law: its deviation is about its mean
_MEAN_MIN = 0.5  # who hardly ever calls may call some times in a row without a word
_FACTOR_MIN = 0.1  # of an hour to all: below it one call would weigh more than its hour is known
# Standard deviations above the mean. One count in a hundred at least lies beyond so near a place, and one in
# a thousand beyond so far a one, of a Poisson law (0.07 and 0.0013 where the mean is large, 0.09 and 0.014
# where it is 0.5) and of any wider one: up to there the tail, which costs most, need not be asked.
_NEAR, _FAR = 1.5, 3.0
_CLIP = 2.0  # -log10 p: what is rarer than one in a hundred teaches no more than that
_EPOCH_WEEKDAY = 3  # of the first day of record time, a Thursday; Monday is 0


class Volume(StatisticalDetector):
    """Calls of a minute and of five minutes against a negative binomial law of the agent's own counts.

    One key: agent, or agent and access class. The mean is that of the hour of a weekday or of a weekend's
    day (moving means, 48 cells: an hour is known after a day, where 168 cells would need weeks and three
    times the bytes), shrunk to the mean of all hours while few of its minutes were seen. Mean and
    dispersion are raised by their own standard error, so a young series speaks only of what is gross. A
    pause of more than an hour teaches nothing: a night off makes no morning suspect. A bucket teaches no
    more than its 99th percentile. With every call the minute and the five behind it are judged, so nobody
    waits for a bucket's end.

    It fails where work itself is bursty: with a deviation as large as its mean, less than the elevenfold is
    no alarm. A volume that grows over weeks is learnt; caps (`call_rate`) are the answer to both.

    Parameters
    ----------
    quiet
        Updates after an alarm without another one, >= 0.

    Notes
    -----
    Score: -log10 of an upper bound of the chance of so many calls, in [0, 16]; the larger of the two
    lengths, and 0 up to three standard deviations above the mean. The threshold is from the tests of a day:
    1,440 minutes and 288 times five for each of four keys, some four times as many as they slide: 28,000
    chances of 10**-5.5, one false alarm of an agent in eleven days were the law exact. The alarm budget
    holds what it is not. State 1.1 kB a key; 2.5 µs a call where many come in a minute, 4 where few do.

    Examples
    --------
    >>> volume = Volume()
    >>> usual = [minute * 60.0 + second for minute in range(90) for second in (0, 20, 40)]
    >>> flood = [5400.0 + 0.2 * call for call in range(100)]
    >>> [i for i, now in enumerate(usual + flood) if volume.update(now) and volume.fires]
    [284]

    References
    ----------
    [^1]: Hilbe (2011). Negative Binomial Regression. 2nd edition, Cambridge: the NB2 law.
    """

    bounds = (0.0, 16.0)
    n0 = 10  # calls, and `_BUSY_MIN` buckets with one
    threshold = 5.5

    def __init__(self, quiet: int = 100) -> None:
        super().__init__(quiet)
        self.odd = False
        """Whether the latest call is one too many, however lately an alarm has said so."""
        self._minute = _Buckets(60.0)
        self._five = _Buckets(300.0)
        self._odder = self._minute
        self._since = inf  # of the first call
        self._at = 0.0
        self._base = _Mean(_CELL_MEMORY * _CELLS)  # of all hours' minutes, as slow as the cells
        self._means = array("f", bytes(4 * _CELLS))
        self._seen = array("H", bytes(2 * _CELLS))

    @property
    def status(self) -> str:
        # Who writes ten times a day is known after a day, not after the hundred scores of others.
        known = super().status
        return "live" if known == "shadow" and self._at - self._since >= DAY_SECONDS else known

    def update(self, now: float, calls: int = 1) -> float:
        """Count calls at `now`; a time before the newest counts as the newest."""
        self.n += 1
        if now > self._at:
            self._at = now
        else:
            now = self._at
        if self.n == 1:
            self._since = now
        score = 0.0
        for buckets in (self._minute, self._five):
            place = int(now // buckets.seconds)
            if place != buckets.place:
                self._turn(buckets, place)
            found = buckets.take(now, calls)
            if found >= score:
                score, self._odder = found, buckets
        self.score = rounded(min(score, self.bounds[1])) if score and self.warm else 0.0
        self.odd = self.score >= self.threshold and self.status == "live"
        self._decide(self.odd)
        return self.score

    def _turn(self, buckets: "_Buckets", place: int) -> None:
        """Learn the bucket that is over and the empty ones behind it; say what the new one lets expect."""
        if buckets.count:
            first, learnt = buckets.place, buckets.close()
            empty = place - first - 1
            empty = empty if empty * buckets.seconds < _PAUSE_SECONDS else 0
            if empty:
                buckets.idle(empty)
            if buckets is self._minute:
                self._profile(first, learnt, 1)
                until = min(empty, -(first + 1) % 60)  # to the end of the hour, then in the next
                if until:
                    self._profile(first + 1, 0.0, until)
                if empty > until:
                    self._profile(first + 1 + until, 0.0, empty - until)
        begins = place * buckets.seconds
        factor = before = self._factor(begins)
        if begins % _HOUR_SECONDS < buckets.seconds:
            # The last minute lies in two hours where one ends: the busier one counts.
            before = self._factor(begins - buckets.seconds)
        buckets.open(place, factor, max(factor, before))

    def _factor(self, at: float) -> float:
        """How much the hour does, of what all hours do."""
        cell = _cell(at)
        trust = self._seen[cell] / (self._seen[cell] + _CELL_TRUST)
        factor = self._means[cell] / max(self._base.value, _MEAN_MIN)
        return max(1 + trust * (factor - 1), _FACTOR_MIN)

    def _profile(self, minute: int, calls: float, times: int) -> None:
        """Learn minutes of one hour with so many calls each."""
        cell = _cell(minute * 60.0)
        mean = _Mean(_CELL_MEMORY, self._means[cell], self._seen[cell])
        mean.learn(calls, times)
        self._base.learn(calls, times)
        self._means[cell], self._seen[cell] = mean.value, mean.seen

    def _facts(self) -> dict[str, Json]:
        odder = self._odder
        return {
            "observed": odder.recent,
            "expected": odder.expected() if odder.busy >= _BUSY_MIN else None,
            "minutes": round(odder.seconds / 60),
            "busiest": odder.busiest,
            "buckets": odder.busy,
        }


class _Mean:
    """A plain mean until `memory` values were seen, a moving one from then on."""

    def __init__(self, memory: int, value: float = 0.0, seen: int = 0) -> None:
        self.memory = memory
        self.value = value
        self.seen = seen

    def learn(self, value: float, times: int = 1) -> None:
        """Learn the same value so many times."""
        if times == 1:  # nearly always; the same, to the bit
            self.seen += self.seen < self.memory
            self.value = value + (self.value - value) * (1 - 1 / self.seen)
            return
        plain = min(times, self.memory - self.seen)
        self.seen += plain
        left = (1 - 1 / self.memory) ** (times - plain)
        if plain:
            left *= 1 - plain / self.seen
        self.value = value + (self.value - value) * left


class _Buckets:
    """Calls in buckets of one length: the open one, and the law of those that are over."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.place = -1
        self.count = 0  # of the open bucket
        self.recent = 0  # of as long a time until now
        self._slots = [0] * _SLOTS
        self._slot = -1
        self.busy = 0  # buckets with calls
        self.busiest = 0
        day = int(DAY_SECONDS / seconds)  # of work without a pause
        self._mean = _Mean(day, _PRIOR_MEAN, int(_PRIOR))  # at the pace of all hours, as all here
        self._moment = _Mean(day, _PRIOR_MOMENT, int(_PRIOR))  # of y(y-1)
        self._factor = 1.0  # of the open bucket's hour
        self._level = self._upper = _PRIOR_MEAN  # of the open bucket; with its standard error
        self._deviation = 0.0
        self._size = 1.0  # of the negative binomial law: variance = mean + mean^2 / size

    def open(self, place: int, factor: float, busier: float) -> None:
        """Begin a bucket of an hour with `factor` times the mean of all; judged by the `busier` one."""
        self.place, self.count, self._factor = place, 0, factor
        known = min(self.busy, self._mean.memory) + _PRIOR
        usual = max(self._mean.value, _MEAN_MIN)
        self._level = mean = max(usual * busier, _MEAN_MIN)
        wide = max(self._moment.value / usual**2 - 1, 0.0)
        wide += sqrt(2 / known) * (wide + 1 / mean)
        variance = mean * mean * wide + mean
        self._upper = mean + sqrt(variance / known)
        self._deviation = sqrt(variance)
        self._size = 1 / wide

    def take(self, now: float, calls: int) -> float:
        """Count calls; -log10 of the chance of so many recent ones or more, 0 while too little is known."""
        slot, slots = int(now // (self.seconds / _SLOTS)), self._slots
        if slot >= self._slot + _SLOTS:
            slots = self._slots = [0] * _SLOTS
            self.recent, self._slot = 0, slot
        elif slot > self._slot:
            for over in range(self._slot + 1, slot + 1):
                gone = over % _SLOTS
                self.recent -= slots[gone]
                slots[gone] = 0
            self._slot = slot
        slots[slot % _SLOTS] += calls
        self.recent += calls
        self.count += calls
        if self.recent > self._upper + _FAR * self._deviation and self.busy >= _BUSY_MIN:
            return self._bound(self.recent)
        return 0.0

    def close(self) -> float:
        """Learn the open bucket; the calls that were learnt of it."""
        calls = float(self.count)
        self.busiest = max(self.busiest, self.count)
        odd = self.count > self._upper + _NEAR * self._deviation and self.busy >= _BUSY_MIN
        if odd and self._bound(self.count) > _CLIP:
            calls = float(self._rare(_CLIP))
        self.busy += 1
        self._mean.learn(calls / self._factor)
        self._moment.learn(calls * (calls - 1) / self._factor**2)
        return calls

    def idle(self, buckets: int) -> None:
        """Learn buckets without a call."""
        self._mean.learn(0.0, buckets)
        self._moment.learn(0.0, buckets)

    def _bound(self, calls: int) -> float:
        """The law's term at `calls` and a geometric series above all the others: a few % too likely."""
        mean, size = self._upper, self._size
        if calls <= mean:
            return 0.0
        whole = mean + size
        falls = max((calls + size) / (calls + 1), 1.0) * mean / whole
        if falls >= 1:
            return 0.0
        term = lgamma(calls + size) - lgamma(calls + 1) - lgamma(size)
        term += size * log(size / whole) + calls * log(mean / whole)
        return max((log(1 - falls) - term) / _LOG10, 0.0)

    def _rare(self, surprise: float) -> int:
        """The fewest calls that are so surprising."""
        low, high = 0, ceil(self._upper) + 1
        while self._bound(high) < surprise:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._bound(middle) < surprise else (low, middle)
        return high

    def expected(self) -> dict[str, Json]:
        """Calls of such a bucket: the median (Wilson and Hilferty), and what is passed at most so often."""
        third = max(1 - 1 / (9 * self._size), 0.0)
        return {
            "median": round(self._level * third**3),
            "p95": self._rare(-log(0.05) / _LOG10),
            "p999": self._rare(3.0),
        }


def _cell(now: float) -> int:
    """The hour's place in the profile."""
    day, hour = divmod(int(now // _HOUR_SECONDS), 24)
    weekend = (day + _EPOCH_WEEKDAY) % 7 >= 5
    return hour + 24 * weekend

"""How often Python looks for cyclic garbage in a process that holds much and makes few cycles.

Rows, traces and agents are freed by their reference counts. The collector's default looks at everything
again and again while they pile up: a tenth of a sink's time, and pauses in a worker.
"""

import gc

# Containers made before the young are looked at (default 700). A pause of 4 ms where 50,000 took 20.
YOUNG = 10_000
# Looks at the young before the older are looked at, and at these before all are (default 10 each).
OLDER, OLD = 250, 50


def rare() -> None:
    """Collect seldom from now on, and never what is loaded already. Once, when a process starts.

    Memory held by cycles, of failed tasks and their tracebacks, is freed some seconds later.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, OLDER, OLD)

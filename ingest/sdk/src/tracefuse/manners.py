"""The form of a call's arguments: their names and kinds, without their values. Pure.

A call whose arguments have never had this form is told from usual ones, though nothing of them is sent.
"""

import re
from collections.abc import Iterable

_INDEX = re.compile(r"(?:(?<=\.)|\A)[0-9]+(?=\.|\Z)")


def form(items: Iterable[tuple[str, object]]) -> str:
    """Paths and kinds of texts and numbers (`fingerprints.leaves`) in one order; places in lists are one.

    About 0.5 µs a value.

    >>> form([("to.0", "ann"), ("to.1", "bob"), ("amount", 2.5)]).split()
    ['amount:number', 'to.*:text']
    """
    named = {
        f"{_INDEX.sub('*', path)}:{'text' if type(value) is str else 'number'}"
        for path, value in items
    }
    return "\n".join(sorted(named))

"""D23, rule: a call carries secrets or personal data that are not its to carry."""

from collections.abc import Collection, Iterable

from detectors.base import Detector, Json

SECRET = frozenset(
    {"api_key", "aws_key", "bearer", "jwt", "private_key", "secret", "url_credentials"}
)
"""Classes of the SDK's search whose values open something."""
PERSONAL = frozenset({"email", "card", "iban"})
"""Those that name somebody, or somebody's money."""
_GROUPS = (("secret", SECRET), ("personal", PERSONAL))
_SHOWN_MAX = 8
PLANTED = "honeytoken"
"""The SDK's name of a value that was planted to be found."""
_PLANTED, _CONFIDENTIAL = 4.0, 3.0


class Leakage(Detector):
    """Classes of sensitive data in the arguments of one call, against those that are declared.

    Fires where something that opens doors goes into a call of an agent whose file declares classes of data
    and not this one, by its name or as `secret`; where a value came out of a result that the file calls
    confidential; and where a value was planted to be found, which no declaration excuses. Warns of personal
    data that is declared as little, and of secrets where nothing is declared at all: then nobody has said
    what the agent is for. It sees classes, never values, and fails on what has no form (`tracefuse.redact`).

    Notes
    -----
    Score: 4 for a planted value, 3 for a confidential one, 2 for a secret, 1 for personal data, 0 else.
    State: none of other calls; below 1 µs.

    Examples
    --------
    >>> leakage = Leakage()
    >>> leakage.update(["aws_key", "email"], declared=["personal"]), leakage.fires, leakage.foreign
    (2.0, True, ('aws_key',))
    >>> leakage.update(["email"], declared=["personal"]), leakage.fires, leakage.warns
    (0.0, False, False)
    >>> leakage.update([], [], confidential=["email"]), leakage.fires, leakage.foreign
    (3.0, True, ('confidential',))
    """

    bounds = (0.0, 4.0)
    threshold = 2.0

    def __init__(self) -> None:
        super().__init__()
        self.foreign: tuple[str, ...] = ()
        """Classes of the latest call that nobody declared."""

    def update(
        self,
        classes: Iterable[str],
        declared: Collection[str],
        confidential: Collection[str] = (),
        planted: bool = False,
    ) -> float:
        """Take the classes that one call carries, and those that its agent may handle.

        `confidential`: kinds of values that stood in confidential results; `planted`: one was a honeytoken.
        """
        self.n += 1
        foreign = [name for name in classes if name != PLANTED and not _allowed(name, declared)]
        self.foreign = tuple(foreign[:_SHOWN_MAX])
        secret = any(name in SECRET for name in foreign)
        personal = any(name in PERSONAL for name in foreign)
        self.score = 2.0 if secret else float(personal)
        self.fires = planted or bool(confidential) or (secret and bool(declared))
        if planted or confidential:
            self.score = _PLANTED if planted else _CONFIDENTIAL
            self.foreign = (PLANTED if planted else "confidential", *self.foreign)[:_SHOWN_MAX]
        # Without any declaration an address in a mail would be said of everybody.
        self.warns = not self.fires and (secret or (personal and bool(declared)))
        return self.score

    def _facts(self) -> dict[str, Json]:
        return {"observed": list(self.foreign)}


def _allowed(name: str, declared: Collection[str]) -> bool:
    groups = (group for group, names in _GROUPS if name in names)
    return name in declared or any(group in declared for group in groups)

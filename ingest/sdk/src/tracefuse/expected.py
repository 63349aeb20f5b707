"""What a probe should do, as `run.start` tells it: names, decision arguments and keyed hashes."""

from typing import Annotated, Literal

import msgspec

DIGEST_DIGITS = 16

Label = Annotated[str, msgspec.Meta(min_length=1, max_length=48, pattern=r"^[A-Za-z0-9._-]+\Z")]
Tool = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Tools = Annotated[tuple[Tool, ...], msgspec.Meta(max_length=32)]
Scalar = bool | int | float | Annotated[str, msgspec.Meta(max_length=256)]
Word = Annotated[str, msgspec.Meta(max_length=256)]
Outcome = Literal["ok", "error"]


class Expected(msgspec.Struct, frozen=True, omit_defaults=True):
    """An expectation as it travels with `run.start`: names and keyed hashes."""

    set: Label
    id: Label
    digest: Annotated[str, msgspec.Meta(max_length=DIGEST_DIGITS)]
    tools: Tools = ()
    in_order: bool = False
    never: Tools = ()
    args: dict[Tool, Word] = {}
    decision_args: dict[Tool, dict[Word, Scalar]] = {}
    outcome: Outcome = "ok"
    output: Word = ""
    max_calls: int = 0
    max_usd: float = 0.0

"""Rules of approval: CEL expressions, compiled once and asked for every call that they concern. Pure.

The Common Expression Language has no loops, no side effects, no clock and no randomness: the same values
give the same answer in every process, and a replay. What it reads is ``args`` (the arguments that the
tool declares as ``decision_args``) and ``context`` (what policy knows of the call).
"""

import re
from functools import lru_cache
from typing import Any

from cel_expr_python import cel

from tracefuse.errors import ConfigError, TracefuseError

# Of an expression; a longer one is a program, and no reviewer reads it to its end.
CHARACTERS_MAX = 1000
RULES_KEPT = 4096  # compiled, in one process
# They make lists, 250 ms for one of 2,000; and a walk within a walk multiplies.
_BUILDS = re.compile(r"\.\s*(map|filter)\s*\(")
_WALKS = re.compile(r"\.\s*(all|exists|exists_one)\s*\(")

_environment = cel.NewEnv(variables={"args": cel.Type.DYN, "context": cel.Type.DYN})


class RuleError(TracefuseError):
    """A rule could not say yes or no. To the policy, which then asks a person, as if it had said yes."""


class Rule:
    """One expression that answers yes or no.

    Parameters
    ----------
    expression
        CEL, at most 1,000 characters; of `all`, `exists` and `exists_one` at most one.

    Raises
    ------
    ConfigError
        To the owner of the file: the expression is none, names something unknown, or does not answer yes
        or no.

    Notes
    -----
    5 to 7 µs an evaluation (5 arguments and 9 values of context), 0.3 to 1.5 ms to compile. The walk over a
    list of 2,000 values takes 0.5 ms, 30 ms where it looks each of them up. Regular expressions are
    RE2's and take linear time.

    Examples
    --------
    >>> large = Rule('args.amount > 100 && context.environment == "prod"')
    >>> large({"amount": 250.0}, {"environment": "prod"})
    True
    >>> Rule("args.amount >")
    Traceback (most recent call last):
    tracefuse.errors.ConfigError: rule: character 14: Syntax error: mismatched input '<EOF>'
    """

    def __init__(self, expression: str):
        self.expression = expression
        if len(expression) > CHARACTERS_MAX:
            raise ConfigError(f"rule: {len(expression)} characters, at most {CHARACTERS_MAX}")
        if _BUILDS.search(expression):
            raise ConfigError("rule: `map` and `filter` make lists; ask with `exists` or `all`")
        if len(_WALKS.findall(expression)) > 1:
            raise ConfigError("rule: more than one of `all`, `exists`, `exists_one`")
        try:
            self._program = _environment.compile(expression)
        except RuntimeError as error:
            raise ConfigError(f"rule: {_words(str(error))}") from error
        kind = self._program.return_type().name()
        if kind not in ("BOOL", "DYN"):
            raise ConfigError(f"rule: answers with {kind.lower()}, not with true or false")

    def __call__(self, args: dict[str, Any], context: dict[str, Any]) -> bool:
        """Whether the rule applies. Raises `RuleError`, for an argument that is missing say."""
        try:
            answer = self._program.eval(data={"args": args, "context": context})
        except RuntimeError as error:
            raise RuleError(f"{self.expression}: {_words(str(error))}") from error
        if answer.type() != cel.Type.BOOL:
            said = str(answer.value()) if answer.type() == cel.Type.ERROR else "no answer"
            raise RuleError(f"{self.expression}: {_words(said)}")
        return bool(answer.value())


@lru_cache(maxsize=RULES_KEPT)
def rule(expression: str) -> Rule:
    """The compiled rule of an expression, one in each process."""
    return Rule(expression)


def _words(text: str) -> str:
    """The library's first sentence, with the place as a character of the expression.

    >>> _words("INVALID_ARGUMENT: ERROR: <input>:1:7: undeclared reference to 'zoo' (in container '')")
    "character 7: undeclared reference to 'zoo'"
    """
    text = re.sub(r"^[A-Z_]+: ", "", text.partition("\n")[0])
    text = re.sub(r"^ERROR: <input>:1:(\d+): ", r"character \1: ", text)
    text = re.sub(r"^ERROR: <input>:[\d:-]+ ?", "", text).partition(" expecting {")[0]
    return re.sub(r" (\(in container ''\)|\[[A-Z_]+\])\s*$", "", text).strip()[:200]

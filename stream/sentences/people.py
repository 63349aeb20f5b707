"""What people are asked, and what of theirs does not count."""


def unattended(tool: str, approval_id: str) -> str:
    """Nobody has answered for half of the time."""
    return (
        f"A call of `{tool}` waits for a person and nobody has answered: `tracefuse approve "
        f"{approval_id}`, or with `--refuse`."
    )


def void_answer(why: str) -> str:
    """An answer to a waiting call that does not count."""
    return f"An answer to a call that waits for a person does not count: {why}."


def void_label(why: str) -> str:
    """A person's word on an allowed call that does not count."""
    return f"A label of an allowed call does not count: {why}."


def held_back(sentence: str, scope: str) -> str:
    """A stop that the blast-radius brake holds back, and what a person can do.

    >>> held_back("Errors of all tools: 20 of 20.", "agent:acme/refunds")[31:]
    'It is not stopped: rules have just stopped as many agents of the tenant as they may by themselves. \
If it must stop: `tracefuse breaker force agent:acme/refunds --reason "..."`.'
    """
    return (
        f"{sentence} It is not stopped: rules have just stopped as many agents of the tenant as they "
        f'may by themselves. If it must stop: `tracefuse breaker force {scope} --reason "..."`.'
    )


def braked(tenant: str, stopped: int, active: int, allowed: int) -> str:
    """So many agents of a tenant at once that people must decide."""
    return (
        f"Rules have stopped {stopped} of {active} active agents of {tenant} within 5 minutes, and may "
        f"stop {allowed} by themselves; more want to stop. Look for one cause behind them all."
    )


def unacknowledged(scope: str, seconds: float) -> str:
    """A command that the agent did not confirm."""
    return f"The agent lives but has not confirmed the stop of {scope} for {seconds:.1f} s."


def refused_file(why: str) -> str:
    """A version of an agent's file that did not come into force.

    >>> refused_file("it is not signed by a registry key that we know")
    'A file of the agent changed nothing: it is not signed by a registry key that we know.'
    """
    return f"A file of the agent changed nothing: {why}."


def void_judgement(why: str) -> str:
    """A person's word on an incident that does not count.

    >>> void_judgement("it can't be read")
    "A word on an incident did not count: it can't be read."
    """
    return f"A word on an incident did not count: {why}."


def unregistered() -> str:
    """An agent without a file."""
    return "The agent has no file in the registry: nobody owns it and no caps are set."

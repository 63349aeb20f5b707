"""What takes two people: one asks in a file, which changes nothing; another signs the same bytes.

    ask (human) ──► file ──► read ──► cosign (second) ──► carried out

The file holds signed commands and no secret. Whoever changes a byte of it breaks the first signature.
"""

from pathlib import Path

import msgspec

from ingest.keys import Keys
from ingest.settings import Settings
from stream.people import orders
from tracefuse import control, people
from tracefuse.clock import now_us
from tracefuse.control import Command
from tracefuse.errors import ConfigError, TracefuseError
from tracefuse.people import Signed

# A file that lay about for longer must not be signed by accident.
VALID_US = orders.RELEASE_US


class NotSigned(TracefuseError):
    """The request can't be signed here. To the second person: the text says why."""


class Request(msgspec.Struct, frozen=True):
    """Signed commands: a stop, or a release and what then clears the stop."""

    orders: tuple[Signed, ...]

    @property
    def command(self) -> Command:
        """What is asked for."""
        return control.decode(self.orders[0].payload)


def ask(keys: Keys, scope: str, reason: str, release: bool = False) -> Request:
    """A request signed by the person here. Raises `ConfigError` for a scope that is none."""
    wanted = orders.wishes(scope, reason) if release else (orders.stop(scope, reason),)
    return Request(tuple(people.sign(one, keys.signer("human")) for one in wanted))


def write(request: Request, path: Path) -> None:
    """Write a request for the second person; an older one is not overwritten."""
    try:
        with path.open("xb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(request)))
    except OSError as error:
        raise ConfigError(f"request {path}: {error.strerror}") from error


def read(path: Path) -> Request:
    """The request of a file. Raises `ConfigError` to the second person."""
    try:
        request = msgspec.json.decode(path.read_bytes(), type=Request)
        wanted = [control.decode(one.payload) for one in request.orders]
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"request {path}: {error}") from error
    if not _one_wish(wanted):
        raise ConfigError(f"request {path}: it is neither a stop nor a release")
    return request


def cosign(request: Request, keys: Keys) -> Request:
    """The same commands with the second person's signature.

    Raises
    ------
    NotSigned
        To the second person: the first signature is missing or is not over these bytes, the second is
        of the same person, or the request is too old.
    """
    if abs(now_us() - request.command.issued_at) > VALID_US:
        raise NotSigned("the request is older than an hour: let it be asked anew")
    verifier = keys.verifier()
    signed = tuple(people.cosign(one, keys.signer("second")) for one in request.orders)
    try:
        for one in signed:
            people.opened(verifier, one)
    except ValueError as error:
        raise NotSigned(f"the request was not carried out: {error}") from error
    return Request(signed)


async def carry_out(settings: Settings, keys: Keys, request: Request) -> Command:
    """Do what two people have signed. Raises `orders.NotReleased`, and Kafka's errors."""
    if len(request.orders) == 1:
        await orders.enforce(settings, request.orders[0])
        return request.command
    wish, cleared = request.orders
    return await orders.relax(settings, keys, wish, cleared)


def _one_wish(wanted: list[Command]) -> bool:
    """Whether the commands belong together, so that what is shown is all that is signed."""
    same = len({one.scope for one in wanted}) == 1
    return same and [one.state for one in wanted] in (["forced_open"], ["half_open", "closed"])

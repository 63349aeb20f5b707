"""A request for a second person: what is shown is what is signed, and it does not lie about for ever."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from ingest.keys import Keys, create
from stream.people import requests
from stream.people.requests import NotSigned, Request
from tracefuse import control, people
from tracefuse.clock import now_us
from tracefuse.errors import ConfigError


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return create(tmp_path / "keys")


@pytest.mark.parametrize("release", [False, True])
def test_a_request_is_signed_by_two(keys: Keys, tmp_path: Path, release: bool) -> None:
    """Through a file; each command of it then counts, and none before."""
    path = tmp_path / "request.json"
    requests.write(requests.ask(keys, "fleet", "because", release), path)
    read = requests.read(path)
    signed = requests.cosign(read, keys)

    assert len(signed.orders) == (2 if release else 1)
    for one in read.orders:
        with pytest.raises(ValueError, match="not signed"):
            people.opened(keys.verifier(), one)
    states = [people.opened(keys.verifier(), one).state for one in signed.orders]
    assert states == (["half_open", "closed"] if release else ["forced_open"])


def test_a_request_holds_no_secret_and_is_not_overwritten(keys: Keys, tmp_path: Path) -> None:
    """It goes through mail; an older one is kept."""
    path = tmp_path / "request.json"
    request = requests.ask(keys, "fleet", "because")
    requests.write(request, path)
    held = path.read_bytes()

    assert not any(
        secret in held for secret in (keys.human_seed, keys.human_seed.hex().encode(), keys.master)
    )
    with pytest.raises(ConfigError, match="exists"):
        requests.write(request, path)


def test_a_changed_request_is_not_signed(keys: Keys) -> None:
    """The reason, say: the first signature is over every byte."""
    request = requests.ask(keys, "fleet", "because")
    (one,) = request.orders
    changed = msgspec.structs.replace(one, payload=one.payload.replace(b"because", b"nothing"))

    with pytest.raises(NotSigned, match="as many people"):
        requests.cosign(Request((changed,)), keys)


def test_one_person_can_not_sign_twice(keys: Keys) -> None:
    """Also not where both keys lie in one folder under two names."""
    twice = replace(
        keys, second_seed=keys.human_seed,
        accepted={kid: raw for kid, raw in keys.accepted.items() if "second" not in kid},
    )  # fmt: skip

    with pytest.raises(NotSigned):
        requests.cosign(requests.ask(keys, "fleet", "because"), twice)


def test_an_old_request_is_not_signed(keys: Keys) -> None:
    """After an hour it is asked anew; what lies in a folder is not signed by accident."""
    then = now_us() - requests.VALID_US - 1
    stop = msgspec.structs.replace(requests.ask(keys, "fleet", "b").command, issued_at=then)
    old = Request((people.sign(stop, keys.signer("human")),))

    with pytest.raises(NotSigned, match="older than an hour"):
        requests.cosign(old, keys)


def test_what_is_shown_is_all_that_is_signed(keys: Keys, tmp_path: Path) -> None:
    """A stop with something behind it, or two scopes in one file, are no request."""
    stop, other = (requests.ask(keys, scope, "b").orders[0] for scope in ("fleet", "tenant:acme"))
    wish, cleared = requests.ask(keys, "fleet", "b", release=True).orders
    path = tmp_path / "request.json"
    for orders in ((stop, cleared), (wish,), (cleared,), (), (wish, other)):
        path.write_bytes(msgspec.json.encode(Request(orders)))

        with pytest.raises(ConfigError, match="neither a stop nor a release"):
            requests.read(path)
    assert control.decode(wish.payload).expires_at > now_us()


def test_garbage_is_refused(tmp_path: Path) -> None:
    """A file that is no request is the second person's mistake, told in one line."""
    path = tmp_path / "request.json"
    for held in (b"", b"{}", b'{"orders":[{"payload":"!"}]}', b"\xff"):
        path.write_bytes(held)

        with pytest.raises(ConfigError, match="request"):
            requests.read(path)

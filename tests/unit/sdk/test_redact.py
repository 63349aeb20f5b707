"""What redaction promises: planted secrets vanish, clean text stays, time is linear."""

import base64
import itertools
import json
import time
from binascii import a2b_base64
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracefuse import sensitive
from tracefuse.redact import Redactor, is_secret_name

redactor = Redactor()

# Made up for these tests: valid in form, issued by nobody.
TOKEN = "".join(f"{c}{i % 10}" for i, c in enumerate("qWeRtYuIoPaSdFgHjKlZ"))
JWT = f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.{TOKEN}"
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow" + "Ab1+" * 30 + "\n-----END RSA PRIVATE KEY-----"
CANARIES = {
    "aws_key": ["AKIA" + "Q7WERTYU2OPASDFG", "ASIA" + "Z7WERTYU2OPASDFG"],
    "api_key": [
        f"sk-{TOKEN}",
        f"sk-proj-{TOKEN}_{TOKEN}",
        f"ghp_{TOKEN}",
        f"github_pat_{TOKEN}",
        f"xoxb-{TOKEN}",
        f"glpat-{TOKEN}",
        f"AIza{TOKEN}",
        f"sk_live_{TOKEN}",
        f"SG.{TOKEN}.{TOKEN}",
    ],
    "jwt": [JWT],
    "private_key": [PEM],
    "card": ["4111111111111111", "5500-0055-5555-5559", "3782 822463 10005", "6011000990139424"],
    "iban": ["DE89370400440532013000", "GB82 WEST 1234 5698 7654 32", "NO9386011117947"],
    "email": ["ann.lee+x@mail.example.co.uk", "jörg@müller.example"],
}
ALL = [(kind, secret) for kind, secrets in CANARIES.items() for secret in secrets]
PLACES = {
    "alone": "{}",
    "sentence": "Please use {} for this, and answer by 12 May.",
    "json": '{{"a": 1, "value": "{}", "b": [2, 3]}}',
    "escaped json": '"{{\\"value\\": \\"{}\\"}}"',
    "exception": "ValueError: bad input '{}' at line 3",
    "brackets": "<a>({})</a>",
    "beyond ascii": "Schlüssel „{}“ für Zoë",
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("kind", "secret"), ALL)
def test_a_planted_secret_vanishes(kind: str, secret: str, place: str) -> None:
    """Each kind of secret is replaced by its class wherever it stands, and the rest stays."""
    before, after = PLACES[place].replace("{{", "{").replace("}}", "}").split("{}")
    text, counts = redactor.redact(before + secret + after)

    assert text == f"{before}[redacted:{kind}]{after}"
    assert counts == {kind: 1}


@pytest.mark.parametrize(("kind", "secret"), ALL)
def test_one_level_of_base64_hides_nothing(kind: str, secret: str) -> None:
    """Base64, plain, URL-safe, wrapped, unpadded or behind a path, is looked into."""
    plain = f'{{"note": "some words before", "value": "{secret}"}}'.encode()
    normal = base64.b64encode(plain).decode()
    forms = [
        normal,
        base64.urlsafe_b64encode(plain).decode().rstrip("="),
        base64.encodebytes(plain).decode().strip(),
        f"files/{normal}",
    ]
    texts = [redactor.redact(f"see {form} now")[0] for form in forms]

    assert all(normal[40:50] not in text and "[redacted:" in text for text in texts), texts
    assert texts[0] == texts[1] == texts[2] == texts[3]
    assert texts[0].endswith(" now")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("password=hunter2", "password=[redacted:secret]"),
        ('{"db_password": "a b c", "n": 1}', '{"db_password": "[redacted:secret]", "n": 1}'),
        ("PASSWORD: 'x y z w' and more", "PASSWORD: '[redacted:secret]' and more"),
        ("the password is hunter2, remember", "the password is [redacted:secret], remember"),
        (f"api_key = {TOKEN};", "api_key = [redacted:secret];"),
        (f"clientSecret:{TOKEN}", "clientSecret:[redacted:secret]"),
        (f"Authorization: Bearer {TOKEN}", "Authorization: Bearer [redacted:secret]"),
        ("Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic [redacted:secret]"),
        (f"sent bearer {TOKEN} to it", "sent bearer [redacted:bearer] to it"),
        ("https://h.example/p?a=1&token=abcd&b=2", "https://h.example/p?a=1&token=[redacted:secret]&b=2"),
        ("https://h.example/?access_token=x1", "https://h.example/?access_token=[redacted:secret]"),
        ("postgres://ann:pw@db.example:5432/x", "postgres://[redacted:url_credentials]@db.example:5432/x"),
        ("?mail=ann%40mail.example&x=1", "?mail=[redacted:email]&x=1"),
        ("card 4111 1111 1111 1111 12/27", "card [redacted:card] 12/27"),
        ("order 22 4111 1111 1111 1111", "order 22 [redacted:card]"),
        ("k -----BEGIN PRIVATE KEY-----\nAb1+Ab1+, cut off", "k [redacted:private_key]"),
        ("DE89 3704 0044 0532 0130 00 AND MORE", "[redacted:iban] AND MORE"),
    ],
)  # fmt: skip
def test_named_and_embedded_secrets_vanish(text: str, left: str) -> None:
    """A value named like a secret goes, as do credentials in URLs; what stands around stays."""
    assert redactor.redact(text)[0] == left


@pytest.mark.parametrize(
    "text",
    [
        "Bought 12 days ago, so it is eligible: refund 25.00 to order 991-22.",
        "The password is required. Tokens: 1523, keys: 12. Secretary: Anna.",
        "monkey: banana, keyboard: mechanical, token budget = 4096",
        "uuid 5f0c9e0e-8a3c-4f0e-9f4e-2b1d7c9e0a11 sha 9e107d9d372bb6826bd81d3542a419d6",
        "time 1767312000123456 and 2026-01-02T03:04:05.000000+00:00",
        "card 4111 1111 1111 1112, account DE89370400440532013001",
        "https://example.com/a/very/long/path/to/some/document-name_v2.html?page=2#top",
        "pip install package@1.2.3 or @decorator, see user@host",
        "risk-averse-and-task-oriented-management-2024",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "null password: none, secret=true",
        "",
        "日本語のテキスト、価格は２５００円です。",
    ],
)
def test_clean_text_stays(text: str) -> None:
    """Ordinary text, ids, times and wrong check digits are left alone."""
    assert redactor.redact(text) == (text, {})


def test_a_nested_picture_is_left_alone() -> None:
    """Base64 of noise, or of clean text, is not a secret."""
    noise = base64.b64encode(bytes(i * 37 % 256 for i in range(3000))).decode()
    clean = base64.b64encode(b"nothing to hide in this sentence").decode()

    assert redactor.redact(f"{noise} {clean}")[1] == {}


def test_counts_and_structure() -> None:
    """Structured arguments keep their shape; a secret's name condemns its value; all is counted."""
    value = {"to": ["a@b.example", {"note": "c@d.example"}], "api_key": {"x": 1}, "n": 2, "p": None}
    left, counts = redactor.redact_value(value)
    deep: object = "a@b.example"
    for _ in range(1000):
        deep = [deep]

    assert left == {
        "to": ["[redacted:email]", {"note": "[redacted:email]"}],
        "api_key": "[redacted:secret]",
        "n": 2,
        "p": None,
    }
    assert counts == {"email": 2, "secret": 1}
    assert json.dumps(redactor.redact_value(deep)[0]).strip('[]"') == "redacted:deep"
    assert redactor.redact_value({"a@b.example": 1})[0] == {"[redacted:email]": 1}
    assert is_secret_name("X-Authorization")
    assert not is_secret_name("tokens")


def test_redacting_twice_changes_nothing() -> None:
    """The gateway redacts again: it finds nothing more."""
    once = [redactor.redact(f"password={s} {s} {quote(s)}")[0] for _, s in ALL]

    assert [redactor.redact(text) for text in once] == [(text, {}) for text in once]


def test_no_secret_hides_in_hex() -> None:
    """Ids and hashes aren't decoded as base64, since no form can stand in what they would give."""
    places: tuple[set[int], ...] = (set(), set(), set())
    for quad in itertools.product(sensitive._HEX, repeat=4):
        plain = a2b_base64(bytes(quad).replace(b"-", b"+"))
        for place, byte in zip(places, plain, strict=True):
            place.update(bytes((byte,)).lower())
    forms = (
        *(b"://", b"@", b"%40", b"-----", b"00000000", b"eyj", b"bearer", b"passw"),
        *sensitive._STRONG, *sensitive._WEAK, *sensitive._AWS,
        *sensitive._ISSUED, *sensitive._ISSUED_DOTTED,
    )  # fmt: skip
    for form, begin in itertools.product(forms, range(3)):
        signs = enumerate(form.lower(), begin)

        assert not all(sign in places[at % 3] for at, sign in signs), form


PEM_BEGIN = "-----BEGIN PRIVATE KEY"
SEEDS = [
    *("a", "@", "a@", "a@b.", "://", "x://a:", "eyJ", "eyJ.", "sk-", "AKIA", "%40", "=", '"', "\\"),
    *(PEM_BEGIN, f"{PEM_BEGIN}-----", "key=", "password", "password ", "secret:", "key is "),
    *("4", "4 ", "44 ", "4-", "4111 ", "4111-", "de12", "de12 ", "DE89 3704 ", " ", "é", "bearer "),
    *('token="', "ab12-", "a.", "abcd" * 6 + " ", "A1", "x@y.zz,", "https://a@", "=\n", "\ud800@"),
    *("abcd" * 19 + "\n", "a\n", "authorization: token "),
]


@pytest.mark.parametrize("seed", SEEDS)
def test_time_is_linear(seed: str) -> None:
    """100 kB of any repetition take less than a second, most of them a few milliseconds."""
    text = (seed * (100_000 // len(seed))) + " end"
    start = time.process_time()
    redactor.redact(text)

    assert time.process_time() - start < 1.0


@given(st.text(max_size=300), st.sampled_from(ALL), st.text(max_size=50))
@settings(max_examples=300, deadline=None)
def test_nothing_raises_and_places_fit(before: str, pick: tuple[str, str], after: str) -> None:
    """Whatever stands around, behind a gap a secret is found and what is before it is not lost."""
    _, secret = pick
    text, counts = redactor.redact(f"{before}\n {secret} \n{after}")

    assert secret not in text
    assert sum(counts.values()) >= 1
    if redactor.redact(before)[1] == {} and not before.strip().endswith(("is", "=", ":", ">")):
        assert text.startswith(before[:-1] if before else "")

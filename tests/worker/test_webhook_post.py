"""One POST against real servers on this machine: where it goes, what it believes, and how long it takes at most."""

from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hybrid_ocr_core import logs
from hybrid_ocr_core.event import TryError
from hybrid_ocr_worker.webhook_post import MOST_BYTES, Limits, Poster, resolve
from tests.receiver import Receiver, receiving, talking

_NAME = "hooks.example"
_SHORT = Limits(resolve_seconds=0.3, connect_seconds=0.5, total_seconds=0.5)


def _at(*addresses: str) -> Callable[[str, int], Sequence[str]]:
    """A resolver that knows one answer."""
    return lambda _host, _port: addresses


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For the name and for one address; it is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    now = dt.datetime.now(dt.UTC)
    names = [x509.DNSName(_NAME), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def names_asked_for() -> list[str | None]:
    """What clients said by SNI."""
    return []


@pytest.fixture
def tls_receiver(certificate: Path, names_asked_for: list[str | None]) -> Iterator[Receiver]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.sni_callback = lambda _socket, name, _context: names_asked_for.append(name)
    with receiving(context) as found:
        yield found


@pytest.fixture
def trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))


def test_a_post_arrives_as_it_was_sent_and_of_the_answer_a_hash_is_kept(receiver: Receiver) -> None:
    receiver.will_answer(200, b"thank you")

    made = Poster(allow_private=True).post(receiver.url, {"webhook-id": "evt_1"}, b'{"a":1}')

    (request,) = receiver.received
    assert (made.status, made.error, made.is_success) == (200, None, True)
    assert made.body_sha256 == hashlib.sha256(b"thank you").hexdigest()
    assert (request.path, request.body, request.headers["webhook-id"]) == ("/hook?a=1", b'{"a":1}', "evt_1")
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"


def test_https_goes_to_the_address_that_was_checked_under_the_name(
    tls_receiver: Receiver, trusting: ssl.SSLContext, names_asked_for: list[str | None]
) -> None:
    poster = Poster(allow_private=True, context=trusting, resolve=_at("127.0.0.1"))

    made = poster.post(f"https://{_NAME}:{tls_receiver.port}/hook", {}, b"{}")

    assert made.status == 204
    assert names_asked_for == [_NAME]
    assert tls_receiver.received[0].headers["host"] == f"{_NAME}:{tls_receiver.port}"


def test_https_to_an_address_needs_a_certificate_for_it(tls_receiver: Receiver, trusting: ssl.SSLContext) -> None:
    poster = Poster(allow_private=True, context=trusting)

    assert poster.post(f"https://127.0.0.1:{tls_receiver.port}/", {}, b"{}").status == 204


def test_a_certificate_for_another_name_is_refused(tls_receiver: Receiver, trusting: ssl.SSLContext) -> None:
    poster = Poster(allow_private=True, context=trusting, resolve=_at("127.0.0.1"))

    made = poster.post(f"https://other.example:{tls_receiver.port}/", {}, b"{}")

    assert (made.status, made.error) == (None, TryError.TLS_FAILED)
    assert tls_receiver.received == []


def test_a_certificate_that_nobody_vouches_for_is_refused(tls_receiver: Receiver) -> None:
    poster = Poster(allow_private=True, resolve=_at("127.0.0.1"))

    assert poster.post(f"https://{_NAME}:{tls_receiver.port}/", {}, b"{}").error is TryError.TLS_FAILED


@pytest.mark.parametrize(
    "addresses",
    [
        ("127.0.0.1",),
        ("8.8.8.8", "127.0.0.1"),
        ("127.0.0.1", "8.8.8.8"),
        ("8.8.8.8", "2606:4700:4700::1111", "::ffff:10.0.0.1"),
        ("169.254.169.254",),
        ("64:ff9b::a9fe:a9fe",),
        ("fe80::1%1",),
    ],
)
def test_a_name_with_any_address_that_is_not_public_is_sent_nothing(
    addresses: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket.socket, "connect", _must_not_be_called)
    poster = Poster(allow_private=False, resolve=_at(*addresses))

    assert poster.post("https://hooks.example.com/", {}, b"{}").error is TryError.ADDRESS_DENIED


def test_a_name_is_asked_for_once_and_its_first_answer_is_the_one_connected_to(receiver: Receiver) -> None:
    """DNS rebinding: the second answer would be another one."""
    answers = [["127.0.0.1"], ["169.254.169.254"]]
    asked = []

    def resolve(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return answers[len(asked) - 1]

    poster = Poster(allow_private=True, resolve=resolve)
    url = f"http://{_NAME}:{receiver.port}/"

    assert poster.post(url, {}, b"{}").status == 204
    assert asked == [_NAME]
    assert poster.post(url, {}, b"{}").error is TryError.ADDRESS_DENIED


def test_a_url_that_is_not_allowed_any_more_is_sent_nothing(receiver: Receiver) -> None:
    assert Poster(allow_private=False).post(receiver.url, {}, b"{}").error is TryError.URL_DENIED
    assert receiver.received == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_a_failure_and_is_not_followed(receiver: Receiver, status: int) -> None:
    receiver.will_answer(status, Location=receiver.url)

    made = Poster(allow_private=True).post(receiver.url, {}, b"{}")

    assert (made.status, made.is_success) == (status, False)
    assert len(receiver.received) == 1


def test_a_proxy_of_the_environment_is_not_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)

    assert Poster(allow_private=True).post(receiver.url, {}, b"{}").status == 204


def test_of_several_addresses_the_first_that_answers_is_taken(receiver: Receiver) -> None:
    poster = Poster(allow_private=True, resolve=_at("::1", "127.0.0.1"))

    assert poster.post(f"http://{_NAME}:{receiver.port}/", {}, b"{}").status == 204


def test_of_a_long_answer_the_beginning_is_read(receiver: Receiver) -> None:
    receiver.will_answer(200, b"x" * (MOST_BYTES + 1))

    made = Poster(allow_private=True).post(receiver.url, {}, b"{}")

    assert made.body_sha256 == hashlib.sha256(b"x" * MOST_BYTES).hexdigest()


def test_a_packed_answer_is_not_unpacked(receiver: Receiver) -> None:
    receiver.will_answer(200, b"\x1f\x8b no gzip", Content_Encoding="gzip")

    made = Poster(allow_private=True).post(receiver.url, {}, b"{}")

    assert made.body_sha256 == hashlib.sha256(b"\x1f\x8b no gzip").hexdigest()


@pytest.mark.parametrize(
    ("value", "expected"),
    [("120", 120), ("0", 0), ("soon", None), ("-5", None), ("1e400", None), ("9" * 400, 86400), ("", None)],
)
def test_a_receiver_may_say_when(receiver: Receiver, value: str, expected: float | None) -> None:
    receiver.will_answer(503, Retry_After=value)

    made = Poster(allow_private=True).post(receiver.url, {}, b"{}")

    assert made.retry_after == (None if expected is None else dt.timedelta(seconds=expected))


def test_a_receiver_may_say_when_by_a_date(receiver: Receiver) -> None:
    receiver.will_answer(503, Retry_After=format_datetime(dt.datetime.now(dt.UTC) + dt.timedelta(hours=1), usegmt=True))

    made = Poster(allow_private=True).post(receiver.url, {}, b"{}")

    assert made.retry_after is not None
    assert dt.timedelta(minutes=59) < made.retry_after <= dt.timedelta(hours=1)


@pytest.mark.parametrize("status", [200, 503])
@pytest.mark.parametrize(
    "value",
    [
        "Mon, 01 Jan 99999999999 00:00:00 GMT",
        "Mon, 01 Jan 10000 00:00:00 GMT",
        "Mon, 01 Jan 0000 00:00:00 GMT",
        "Mon, 99 Jan 2026 99:99:99 +9999999999",
        "Mon, 01 Jan 1900 00:00:00 -9999",
    ],
)
def test_an_impossible_date_takes_nothing_from_the_answer(receiver: Receiver, value: str, status: int) -> None:
    receiver.will_answer(status, Retry_After=value)

    made = Poster(allow_private=True).post(receiver.url, {}, b"{}")

    assert (made.status, made.error) == (status, None)


def test_nobody_listens(receiver: Receiver) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    assert Poster(allow_private=True).post(f"http://127.0.0.1:{port}/", {}, b"{}").error is TryError.NOT_CONNECTED


def test_a_name_without_address() -> None:
    def unknown(_host: str, _port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    for answer in (unknown, _at(), _at("no address")):
        made = Poster(allow_private=True, resolve=answer).post("https://hooks.example/", {}, b"{}")
        assert made.error is TryError.NAME_NOT_FOUND


def test_a_name_server_that_does_not_answer_is_not_waited_for() -> None:
    end = threading.Event()

    def hang(_host: str, _port: int) -> Sequence[str]:
        end.wait()
        return []

    poster = Poster(allow_private=True, resolve=hang, limits=_SHORT)
    try:
        assert poster.post("https://hooks.example/", {}, b"{}").error is TryError.NAME_NOT_FOUND
    finally:
        end.set()


def test_the_system_resolves_this_machine() -> None:
    assert {"127.0.0.1", "::1"} & set(resolve("localhost", 80))


def _silent(_connection: socket.socket, end: threading.Event) -> None:
    end.wait()


def _trickling_headers(connection: socket.socket, end: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while not end.wait(0.05):
        connection.sendall(b"x")


def _trickling_lines(connection: socket.socket, end: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while not end.wait(0.05):
        connection.sendall(b"X: y\r\n")


def _promising(connection: socket.socket, end: threading.Event) -> None:
    while not end.wait(0.05):
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")


@pytest.mark.parametrize("act", [_silent, _trickling_headers, _trickling_lines, _promising])
def test_a_receiver_that_takes_its_time_has_no_more_than_its_share(
    act: Callable[[socket.socket, threading.Event], None],
) -> None:
    with talking(act) as port:
        made = Poster(allow_private=True, limits=_SHORT).post(f"http://127.0.0.1:{port}/", {}, b"{}")

    assert (made.status, made.error) == (None, TryError.TIMEOUT)


def test_a_status_counts_though_its_body_never_ends() -> None:
    def trickle(connection: socket.socket, end: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while not end.wait(0.05):
            connection.sendall(b"x")

    with talking(trickle) as port:
        made = Poster(allow_private=True, limits=_SHORT).post(f"http://127.0.0.1:{port}/", {}, b"{}")

    assert made.is_success


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 two hundred\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70000 + b"\r\n\r\n",
        bytes(range(256)) * 4,
    ],
)
def test_whatever_is_answered_that_is_no_http_is_told(answer: bytes) -> None:
    with talking(lambda connection, _: connection.sendall(answer)) as port:
        made = Poster(allow_private=True).post(f"http://127.0.0.1:{port}/", {}, b"{}")

    assert (made.status, made.error) == (None, TryError.BROKEN_ANSWER)


@pytest.fixture
def configured_logs(capsys: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    """What is logged, as in a worker; afterwards as pytest wants it."""
    root, warned = logging.getLogger(), logging.getLogger("urllib3.connection").level
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    logs.configure("DEBUG")
    yield capsys
    root.handlers, root.level = handlers, level
    logging.getLogger("urllib3.connection").setLevel(warned)


def test_odd_headers_are_not_logged_with_the_url(configured_logs: pytest.CaptureFixture[str]) -> None:
    answer = b"HTTP/1.1 204 No Content\r\nthis is no header\r\n\r\n"
    with talking(lambda connection, _: connection.sendall(answer)) as port:
        made = Poster(allow_private=True).post(f"http://127.0.0.1:{port}/canary", {}, b"{}")
    logging.getLogger("hybrid_ocr_worker").info("alive")

    told = configured_logs.readouterr().err
    assert made.status == 204
    assert "alive" in told
    assert "canary" not in told
    assert str(port) not in told


def test_a_receiver_without_tls_is_told(receiver: Receiver) -> None:
    with talking(lambda connection, _: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as port:
        made = Poster(allow_private=True).post(f"https://127.0.0.1:{port}/", {}, b"{}")

    assert made.error is TryError.TLS_FAILED


def test_a_tls_handshake_that_never_ends_is_a_time_out() -> None:
    with talking(_silent) as port:
        made = Poster(allow_private=True, limits=_SHORT).post(f"https://127.0.0.1:{port}/", {}, b"{}")

    assert made.error is TryError.TIMEOUT


def test_name_connection_and_tls_share_one_limit(
    tls_receiver: Receiver, trusting: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step is slow by 0.3 s; the next one is given what is left."""
    given: list[float | None] = []
    connect, wrap = socket.socket.connect, ssl.SSLContext.wrap_socket

    def slow_name(_host: str, _port: int) -> Sequence[str]:
        time.sleep(0.3)
        return ["127.0.0.1"]

    def slow_connect(sock: socket.socket, address: tuple[str, int]) -> None:
        given.append(sock.gettimeout())
        time.sleep(0.3)
        connect(sock, address)

    def noted_wrap(context: ssl.SSLContext, sock: socket.socket, *rest: Any, **named: Any) -> ssl.SSLSocket:
        if context is trusting:  # and not the receiver's
            given.append(sock.gettimeout())
        return wrap(context, sock, *rest, **named)

    monkeypatch.setattr(socket.socket, "connect", slow_connect)
    monkeypatch.setattr(ssl.SSLContext, "wrap_socket", noted_wrap)
    limits = Limits(resolve_seconds=60, connect_seconds=60, total_seconds=60)
    poster = Poster(allow_private=True, context=trusting, resolve=slow_name, limits=limits)

    assert poster.post(f"https://{_NAME}:{tls_receiver.port}/", {}, b"{}").is_success

    for_tcp, for_tls = given
    assert for_tcp is not None
    assert for_tcp <= 60 - 0.3
    assert for_tls is not None
    assert for_tls <= for_tcp - 0.3


def _must_not_be_called(*_: object) -> None:
    raise AssertionError("a connection was made")

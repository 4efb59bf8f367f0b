"""A silent, slow or broken network: every call comes back within a bound, as Unavailable. Real sockets, no moto."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from hybrid_ocr_core import aws, transfer
from hybrid_ocr_core.document_store import DocumentStore
from hybrid_ocr_core.errors import LeaseLost, Unavailable
from hybrid_ocr_core.job import JobStatus, Lane
from hybrid_ocr_core.job_queue import LONG_POLL_SECONDS, JobQueue
from hybrid_ocr_core.job_store import JobStore
from hybrid_ocr_core.settings import AwsSettings
from tests.builders import LEASE, a_document, a_job, a_result
from tests.proxy import REFUSE, SILENT, Mode, Proxy

_CONTENT = bytes(range(256)) * 4096
_READ_SECONDS = 0.2
#: Three sends of each call, a second's wait for "100 Continue" before each body, backoff, and a slow machine.
_BOUND_SECONDS = 8.0


class _Bucket(BaseHTTPRequestHandler):
    """Answers every GET with the same object and takes every PUT."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(_CONTENT)))
        self.end_headers()
        self.wfile.write(_CONTENT)

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
        pass


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Between the clients and an S3 of one object."""
    monkeypatch.setattr(aws, "_READ_SECONDS", dict.fromkeys(("dynamodb", "sqs", "s3"), _READ_SECONDS))
    monkeypatch.setattr(aws, "_LONG_POLL_READ_SECONDS", _READ_SECONDS)
    monkeypatch.setattr(aws, "_CONNECT_SECONDS", _READ_SECONDS)
    with ThreadingHTTPServer(("127.0.0.1", 0), _Bucket) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        with Proxy(server.server_address[1]) as proxy:
            monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
            for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
                monkeypatch.setenv(name, "test")
            yield proxy
        server.shutdown()
        thread.join()


@pytest.fixture
def clients(network: Proxy) -> aws.AwsClients:
    return aws.connect(
        AwsSettings(
            region="us-east-1", bucket="b", table="t", queue_urls={}, dead_letter_queue_url="", public_endpoint_url=None
        )
    )


@pytest.fixture
def documents(clients: aws.AwsClients) -> DocumentStore:
    return DocumentStore(clients.s3, "b")


@pytest.mark.failure(12)
@pytest.mark.parametrize("mode", [SILENT, REFUSE, Mode(cut_after=10)], ids=["silent", "refusing", "cut"])
def test_every_service_that_does_not_answer_is_told_in_time(
    clients: aws.AwsClients, network: Proxy, documents: DocumentStore, tmp_path: Path, mode: Mode
) -> None:
    network.mode = mode
    store = JobStore(clients.dynamodb, "t", lease=LEASE, attempt_budget=3)
    queue = JobQueue(clients.sqs, dict.fromkeys(Lane, f"{network.url}/0/q"), "", long_poll=clients.sqs_long_poll)
    calls: list[Callable[[], object]] = [
        lambda: store.claim(a_job().id),
        lambda: queue.send(a_job().id),
        lambda: queue.receive(visibility_seconds=1, wait_seconds=0),
        lambda: documents.get_source(a_job(), tmp_path / "source"),
        lambda: documents.put_source(a_job().id, io.BytesIO(_CONTENT), "application/pdf"),
    ]
    for call in calls:
        before, started = network.accepted, time.monotonic()
        with pytest.raises(Unavailable):
            call()

        assert time.monotonic() - started < _BOUND_SECONDS
        assert network.accepted - before <= 3


@pytest.mark.failure(12)
def test_the_time_outs_are_short_and_the_long_poll_outlasts_its_wait() -> None:
    assert aws._CONNECT_SECONDS <= 2
    assert max(aws._READ_SECONDS.values()) * aws._SENDS <= 30
    assert LONG_POLL_SECONDS < aws._LONG_POLL_READ_SECONDS <= LONG_POLL_SECONDS + 5


@pytest.mark.failure(12)
def test_a_good_network_brings_every_byte(documents: DocumentStore, tmp_path: Path) -> None:
    documents.get_source(a_job(document=a_document(_CONTENT)), tmp_path / "source")

    assert (tmp_path / "source").read_bytes() == _CONTENT


@pytest.mark.failure(12)
def test_a_document_that_trickles_is_given_up(
    documents: DocumentStore, network: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "GRACE_SECONDS", 0.5)
    monkeypatch.setattr(transfer, "SLOWEST_BYTES_PER_SECOND", 100 << 20)
    network.mode = Mode(bytes_per_second=20_000)  # never silent for as long as the time-out
    done = a_job(status=JobStatus.DONE, result=a_result())
    for read in (
        lambda: documents.get_source(a_job(document=a_document(_CONTENT)), tmp_path / "source"),
        lambda: list(documents.result_lines(done)),
    ):
        started = time.monotonic()
        with pytest.raises(Unavailable, match="too slow"):
            read()

        assert time.monotonic() - started < _BOUND_SECONDS


@pytest.mark.failure(12)
@pytest.mark.parametrize(
    ("first", "then"),
    [(Mode(cut_after=50_000), Mode(cut_after=50_000)), (Mode(bytes_per_second=400_000), SILENT)],
    ids=["cut", "silent"],
)
def test_a_document_that_stops_in_the_middle_is_unavailable_and_not_a_swapped_one(
    documents: DocumentStore, network: Proxy, tmp_path: Path, first: Mode, then: Mode
) -> None:
    network.mode = first

    def after_a_block() -> None:
        network.mode = then

    started = time.monotonic()
    with pytest.raises(Unavailable):
        documents.get_source(a_job(document=a_document(_CONTENT)), tmp_path / "source", after_a_block)
    assert time.monotonic() - started < _BOUND_SECONDS


@pytest.mark.failure(12, 49)
def test_a_transfer_ends_when_it_is_not_wanted_any_more(documents: DocumentStore, tmp_path: Path) -> None:
    asked = 0

    def fenced_off_after_a_while() -> None:
        nonlocal asked
        asked += 1
        if asked > 3:
            raise LeaseLost("fenced off")

    (tmp_path / "result").write_bytes(_CONTENT)
    with pytest.raises(LeaseLost):
        documents.put_result(
            a_job().id,
            attempt=1,
            revision=0,
            output="json",
            path=tmp_path / "result",
            still_wanted=fenced_off_after_a_while,
        )


@pytest.mark.failure(12)
def test_an_upload_that_takes_too_long_is_given_up(documents: DocumentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "GRACE_SECONDS", -60.0)

    with pytest.raises(Unavailable, match="too slow"):
        documents.put_source(a_job().id, io.BytesIO(_CONTENT), "application/pdf")

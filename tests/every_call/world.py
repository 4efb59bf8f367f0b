"""API, workers and sweeper on moto in one thread, with everything real but the recognition, and a way to recover."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from flask.testing import FlaskClient
from moto.dynamodb.models import dynamodb_backends
from moto.sqs.models import sqs_backends

from hybrid_ocr_api import create_app, identities, quotas
from hybrid_ocr_api.patience import Patience
from hybrid_ocr_api.services import Services
from hybrid_ocr_api.settings import ApiSettings, RetentionSettings, TenantLimits
from hybrid_ocr_api.waiting import Waiting
from hybrid_ocr_core import aws
from hybrid_ocr_core.batch_store import BatchStore
from hybrid_ocr_core.contents import Contents
from hybrid_ocr_core.dead_letters import DeadLetterQueue
from hybrid_ocr_core.direct_upload_store import DirectUploadStore
from hybrid_ocr_core.dispatch import Dispatch
from hybrid_ocr_core.document_store import DocumentStore
from hybrid_ocr_core.endpoint_store import EndpointStore
from hybrid_ocr_core.errors import Unavailable
from hybrid_ocr_core.event import Try
from hybrid_ocr_core.idempotency import IdempotencyKeys
from hybrid_ocr_core.job import JobId, Lane, Retention
from hybrid_ocr_core.job_list import JobList
from hybrid_ocr_core.job_queue import JobQueue, ReceivedMessage
from hybrid_ocr_core.job_store import JobStore
from hybrid_ocr_core.places import Places
from hybrid_ocr_core.settings import AwsSettings, WebhookSettings
from hybrid_ocr_worker.courier import Courier
from hybrid_ocr_worker.intake import Intake
from hybrid_ocr_worker.orphans import remove_orphans
from hybrid_ocr_worker.processing import Processor
from hybrid_ocr_worker.recognition import Recogniser
from hybrid_ocr_worker.sandbox.warm import WarmSandbox
from hybrid_ocr_worker.settings import WorkerSettings
from hybrid_ocr_worker.shutdown import Shutdown, ShuttingDown
from hybrid_ocr_worker.sweeper import Sweeper
from hybrid_ocr_worker.webhook_post import Poster
from tests.builders import LEASE, START, FakeClock
from tests.every_call.injector import Died, Injector
from tests.recognisers import ScriptedRecogniser

CONTENT = b"%PDF-1.7 the submitted bytes"
KEY = "key"
WEBHOOK_URL = "https://hooks.example/"
SECRET = "whsec_c2VjcmV0IG9mIHRoZSB0ZXN0cyBzZWNyZXQ="
BUDGET = 4
_PATIENCE = 40
#: One more than there are faults at a time.
_SUBMISSIONS = 3
_ACCOUNT = "123456789012"  # moto's


class Receiver(Poster):
    """A receiver that takes everything, and remembers it."""

    def __init__(self) -> None:
        super().__init__(allow_private=False)
        self.told: list[tuple[str, bytes]] = []

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Try:
        assert url == WEBHOOK_URL
        self.told.append((headers["webhook-id"], body))
        return Try(at=START, seconds=0.1, status=204)


class World:
    """One deployment; ``fresh`` empties it for the next schedule. ``places`` are the jobs of a tenant in a lane."""

    def __init__(self, settings: AwsSettings, scratch: Path, *, places: int = 1, deduplicates: bool = True) -> None:
        self.settings = settings
        self.scratch = scratch
        self.clients = aws.connect(settings)
        self.injector = Injector(self.clients)
        self.clock = FakeClock(START)
        self.store = JobStore(
            self.clients.dynamodb, settings.table, lease=LEASE, attempt_budget=BUDGET, clock=self.clock
        )
        self.queue = JobQueue(self.clients.sqs, settings.queue_urls, settings.dead_letter_queue_url)
        self.letters = DeadLetterQueue(self.clients.sqs, settings.dead_letter_queue_url)
        self.documents = DocumentStore(self.clients.s3, settings.bucket)
        contents = Contents(self.clients.dynamodb, settings.table, self.clock) if deduplicates else None
        self.dispatch = Dispatch(
            self.store,
            self.queue,
            Places(self.clients.dynamodb, settings.table, most=places, lease=LEASE, clock=self.clock),
            contents,
            self.clock,
            sleep=lambda _: None,
        )
        self.endpoints = EndpointStore(
            self.clients.dynamodb, settings.table, default_secrets=(SECRET,), clock=self.clock
        )
        self.recogniser = ScriptedRecogniser()
        self.receiver = Receiver()
        self.api = self._api()
        self.accepted: list[JobId] = []
        self.erased: list[JobId] = []
        self.batches: list[str] = []
        self.keys: set[str] = set()
        self.uploads: list[str] = []
        self.batch_keys: set[str] = set()

    def fresh(self) -> None:
        """An empty deployment at the first moment."""
        self.injector.disarm()
        self._table().items.clear()
        for found in self.clients.s3.list_objects_v2(Bucket=self.settings.bucket).get("Contents", []):
            self.clients.s3.delete_object(Bucket=self.settings.bucket, Key=found["Key"])
        for queue in self._queues():
            queue._messages.clear()
            queue.pending_messages.clear()
            queue.deleted_messages.clear()
        self.clock.now = START
        self.recogniser.script, self.recogniser.read, self.recogniser.pages = [], [], 1
        self.accepted, self.erased, self.batches, self.keys, self.batch_keys = [], [], [], set(), set()
        self.uploads = []
        self.receiver.told = []

    def items(self) -> list[dict[str, Any]]:
        """The jobs in the table as they are, past the API and its cost: raw DynamoDB JSON."""
        return [item for item in self._rows() if item["sk"]["S"] == "META" and "#J#" in item["pk"]["S"]]

    def chunks(self) -> list[dict[str, Any]]:
        """The chunks in the table."""
        return [item for item in self._rows() if item["sk"]["S"].startswith("C#")]

    def events(self) -> list[dict[str, Any]]:
        """The events in the table."""
        return [item for item in self._rows() if item["sk"]["S"].startswith("E#")]

    def lanes(self) -> list[dict[str, Any]]:
        """Places in lanes, and the tickets of those that wait for one."""
        return [item for item in self._rows() if "#L#" in item["pk"]["S"]]

    def _rows(self) -> list[dict[str, Any]]:
        rows = self._table().items.values()
        return [item.to_json()["Attributes"] for row in rows for item in row.values()]

    def depth(self, url: str) -> int:
        """Messages in a queue, visible or not."""
        name = url.rpartition("/")[2]
        return sum(len(queue._messages) for queue in self._queues() if queue.name == name)

    def submit(self, mode: str = "auto", webhook_url: str = "") -> None:
        """A client submits the document; it is accepted when the answer says so."""
        with self._process():
            form = {"file": (io.BytesIO(CONTENT), "a.pdf"), "mode": mode, "webhook_url": webhook_url}
            response = self.api.post("/jobs", data=form, headers={"x-api-key": KEY})
            if response.status_code == 202:
                self.accepted.append(JobId(tenant="default", job_id=response.get_json()["job_id"]))

    def rerun(self) -> None:
        """The client has its first job run again."""
        for job in self.accepted[:1]:
            with self._process():
                response = self.api.post(f"/jobs/{job.job_id}/rerun", json={}, headers={"x-api-key": KEY})
                if response.status_code == 202:
                    self.accepted.append(JobId(tenant="default", job_id=response.get_json()["job_id"]))

    def submit_until_accepted(self, key: str) -> None:
        """A client that sends its submission again, under the same key, whatever it hears or does not hear."""
        self.keys.add(key)
        for _ in range(_SUBMISSIONS):
            with self._process():
                form = {"file": (io.BytesIO(CONTENT), "a.pdf")}
                response = self.api.post("/jobs", data=form, headers={"x-api-key": KEY, "Idempotency-Key": key})
                if response.status_code == 202:
                    self.accepted.append(JobId(tenant="default", job_id=response.get_json()["job_id"]))

    def submit_upload_until_accepted(self) -> None:
        """A client that sends its document to S3 itself, and submits it until it hears that it is a job.

        Then it sends something else by the same form.
        """
        key = ""
        for _ in range(_SUBMISSIONS):
            with self._process():
                announced = {"filename": "a.pdf", "bytes": len(CONTENT), "media_type": "application/pdf"}
                response = self.api.post("/uploads", json=announced, headers={"x-api-key": KEY})
                if response.status_code == 201:
                    key = response.get_json()["fields"]["key"]
                    self.uploads.append(response.get_json()["upload_id"])
                    break
        self._client_sends(key, CONTENT)
        for _ in range(_SUBMISSIONS):
            with self._process():
                body = {"upload_id": self.uploads[-1]}
                response = self.api.post("/jobs", json=body, headers={"x-api-key": KEY})
                told = response.get_json()
                if response.status_code == 202:
                    self.accepted.append(JobId(tenant="default", job_id=told["job_id"]))
                    break
                if told["code"] == "upload_used":
                    self.accepted.append(JobId(tenant="default", job_id=told["detail"].rpartition(" ")[2]))
                    break
        self._client_sends(key, b"%PDF-1.7 something other")

    def _client_sends(self, key: str, content: bytes) -> None:
        """Past us: no call of ours, and no fault of it."""
        self.injector.disarm()
        self.clients.s3.put_object(Bucket=self.settings.bucket, Key=key, Body=content)
        self.injector.is_armed = True

    def submit_batch(self, **headers: str) -> None:
        """A client submits two documents at once; if the answer says so, both are accepted, and their batch tells."""
        with self._process():
            files = [(io.BytesIO(CONTENT), "a.pdf"), (io.BytesIO(CONTENT), "b.pdf")]
            response = self.api.post("/batches", data={"file": files}, headers={"x-api-key": KEY, **headers})
            if response.status_code == 202:
                batch = response.get_json()
                self.accepted += [JobId(tenant="default", job_id=file["job_id"]) for file in batch["files"]]
                self.batches.append(batch["batch_id"])

    def submit_batch_until_accepted(self, key: str) -> None:
        """As ``submit_until_accepted``."""
        self.batch_keys.add(key)
        for _ in range(_SUBMISSIONS):
            self.submit_batch(**{"Idempotency-Key": key})

    def counts(self, batch_id: str) -> dict[str, int]:
        """What a client is told of its batch."""
        found: dict[str, int] = self.api.get(f"/batches/{batch_id}", headers={"x-api-key": KEY}).get_json()["counts"]
        return found

    def tell(self) -> bool:
        """A worker tells one event that is due; False when there was none."""
        told = False
        with self._process():
            for event in self.store.events.due(limit=1):
                told = True
                Courier(self.store, self.endpoints, self.receiver, clock=self.clock).deliver(event)
        return told

    def erase(self) -> None:
        """The client erases its job."""
        for job in self.accepted:
            with self._process():
                response = self.api.delete(f"/jobs/{job.job_id}", headers={"x-api-key": KEY})
                if response.status_code == 204:
                    self.erased.append(job)

    def work(self) -> bool:
        """A worker takes one message; False when there was none."""
        with self._process():
            message = self.queue.receive(visibility_seconds=60, wait_seconds=0)
            if message is None:
                return False
            self._processor().process(message)
        return True

    def deliver(self, message: ReceivedMessage) -> None:
        """A worker gets this very message."""
        with self._process():
            self._processor().process(message)

    def sweep(self) -> None:
        """A worker's timer fires."""
        with self._process():
            Sweeper(self.store, self.queue, self.documents, self.dispatch, self.letters, clock=self.clock).sweep()

    def deliver_again(self) -> None:
        """SQS delivers a second copy."""
        for job in self.accepted:
            with self._process():
                self.queue.send(job)

    def lose_messages(self) -> None:
        """SQS forgets."""
        for queue in self._queues():
            queue._messages.clear()

    def time_passes(self) -> None:
        """Leases and visibility time-outs end."""
        self.clock.advance(LEASE.total_seconds() + 61)
        for queue in self._queues():
            for message in queue._messages:
                message.visible_at = 0
            queue.pending_messages.clear()

    def recover(self) -> None:
        """No more faults: workers and sweepers go on until nothing is left to do."""
        self.injector.disarm()
        quiet = 0
        for _ in range(_PATIENCE):
            self.time_passes()
            self.sweep()
            worked = False
            while self.work() or self.tell():
                worked = True
            quiet = 0 if worked else quiet + 1
            if quiet == 3:
                break
            self.clock.advance(3600)  # resends wait up to an hour
        long_ago = LEASE * 0 - LEASE * 10**6
        remove_orphans(self.store, self.documents, least_age=long_ago, least_upload_age=long_ago)

    @contextlib.contextmanager
    def _process(self) -> Iterator[None]:
        """A process of its own: it may die, and AWS may be away for it."""
        with contextlib.suppress(Died, Unavailable):
            yield

    def _processor(self) -> Processor:
        environment = {"AWS_REGION": "r", "OCR_S3_BUCKET": "b", "OCR_DDB_TABLE": "t", "OCR_SQS_URL": "q"}
        environment |= {"OCR_CHUNK_PAGES": "1", "OCR_CHUNKS_IN_LANE": "1"}
        return Processor(
            settings=WorkerSettings.from_env(environment),
            store=self.store,
            queue=self.queue,
            dispatch=self.dispatch,
            intake=Intake(self.queue, weights=dict.fromkeys(Lane, 1), visibility_seconds=60),
            documents=self.documents,
            recogniser=cast("Recogniser", self.recogniser),
            sandbox=WarmSandbox(directory=self.scratch, memory_bytes=1, pages=1),
            shutdown=Shutdown(grace_seconds=0),
            scratch=self.scratch,
            clock=self.clock,
        )

    def _api(self) -> FlaskClient:
        settings = ApiSettings(
            aws=self.settings,
            api_key=KEY,
            key_cache_seconds=0,
            tokens=None,
            languages=("eng",),
            max_upload_bytes=1 << 20,
            max_direct_upload_bytes=1 << 20,
            upload_url_seconds=60,
            max_batch_bytes=1 << 20,
            max_batch_files=10,
            result_url_seconds=60,
            retention=RetentionSettings(usual=Retention(days=30, source_days=14), most_days=365),
            lease_seconds=60,
            tenant_jobs_in_lane=1,
            tenant_limits=TenantLimits(),
            deduplicate=True,
            webhooks=WebhookSettings(secrets=(SECRET,)),
            log_level="INFO",
        )
        services = Services(
            settings=settings,
            identities=identities(settings, self.clients.dynamodb),
            quotas=quotas(settings, self.clients.dynamodb),
            jobs=self.store,
            uploads=DirectUploadStore(self.clients.dynamodb, self.settings.table),
            list=JobList(self.clients.dynamodb, self.settings.table, self.store),
            batches=BatchStore(self.clients.dynamodb, self.settings.table, self.clock),
            keys=IdempotencyKeys(self.clients.dynamodb, self.settings.table),
            queue=self.queue,
            documents=self.documents,
            dispatch=self.dispatch,
            endpoints=self.endpoints,
            waiting=Waiting(self.store.standings),
            patience=Patience(self.queue.depth, self.clock),
            clock=self.clock,
        )
        return create_app(settings, services).test_client()

    def _queues(self) -> list[Any]:
        return list(sqs_backends[_ACCOUNT][self.settings.region].queues.values())

    def _table(self) -> Any:
        return dynamodb_backends[_ACCOUNT][self.settings.region].tables[self.settings.table]


def raising(error: BaseException) -> Callable[[], None]:
    """A step of a script."""

    def act() -> None:
        raise error

    return act


STOPPED = ShuttingDown("stop")

"""The composition root of a worker: command line, settings, wiring, exit code."""

from __future__ import annotations

import argparse
import datetime as dt
import logging
import os
import shutil
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hybrid_ocr_core import aws, exposition, logs
from hybrid_ocr_core.dead_letters import DeadLetter, DeadLetterQueue
from hybrid_ocr_core.dispatch import Dispatch
from hybrid_ocr_core.document_store import DocumentStore
from hybrid_ocr_core.endpoint_store import EndpointStore
from hybrid_ocr_core.errors import DocumentRejected, SettingsError, Unavailable
from hybrid_ocr_core.job import DEFAULT_TENANT
from hybrid_ocr_core.job_queue import JobQueue
from hybrid_ocr_core.job_store import JobStore
from hybrid_ocr_core.places import Places
from hybrid_ocr_core.process import is_alive
from hybrid_ocr_core.tenant import tenant
from hybrid_ocr_core.usage import Usage
from hybrid_ocr_worker.consumer import Consumer
from hybrid_ocr_worker.courier import Courier
from hybrid_ocr_worker.couriers import Agenda, Couriers
from hybrid_ocr_worker.dead_letters import DeadLetterOffice
from hybrid_ocr_worker.intake import Intake
from hybrid_ocr_worker.lane_watch import EVERY_SECONDS, count_messages
from hybrid_ocr_worker.orphans import remove_orphans
from hybrid_ocr_worker.processing import Processor
from hybrid_ocr_worker.recognition import EngineInfo, Recogniser
from hybrid_ocr_worker.sandbox.warm import WarmSandbox
from hybrid_ocr_worker.settings import WorkerSettings
from hybrid_ocr_worker.shutdown import Shutdown
from hybrid_ocr_worker.supervisor import Supervisor
from hybrid_ocr_worker.sweeper import Sweeper, repeat, sweep_forever
from hybrid_ocr_worker.webhook_post import Poster

_log = logging.getLogger(__name__)

_PROBE_SECONDS = 60
#: What a supervisor waits beyond its children's own grace time.
_MARGIN_SECONDS = 5


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a sub-command; returns the exit code."""
    parsed = _parser().parse_args(arguments)
    try:
        settings = WorkerSettings.from_env(environment)
        logs.configure(settings.log_level)
        if parsed.command == "sweep":
            return _sweep(settings, orphans=parsed.orphans)
        if parsed.command == "dlq":
            return _dead_letters(settings, parsed.action, getattr(parsed, "job_ids", []))
        if parsed.command == "webhook-secret":
            return _webhook_secret(settings, parsed.action, parsed.tenant)
        processes = parsed.processes or settings.processes
        return _consume(settings) if processes == 1 else _supervise(settings, processes, environment)
    except SettingsError as error:
        for problem in error.problems:
            print(f"aws_worker.py: {problem}", file=sys.stderr)
        return 2
    except Unavailable as error:
        print(f"aws_worker.py: {error}; try again later", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="aws_worker.py",
        description="The worker of hybrid-ocr. Settings come from the environment and .env; see .env.example.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    consume = commands.add_parser("consume", help="take jobs from the queue until SIGTERM")
    consume.add_argument(
        "--processes",
        type=int,
        default=0,
        metavar="N",
        help="worker processes on this machine (default: OCR_WORKER_PROCESSES, else one per core)",
    )
    sweep = commands.add_parser("sweep", help="heal once what crashes left, then exit")
    sweep.add_argument(
        "--orphans", action="store_true", help="also delete objects that no job points to (lists the bucket)"
    )
    secret = commands.add_parser("webhook-secret", help="what the webhooks of a tenant are signed with")
    secret.add_argument(
        "action",
        choices=("rotate", "retire"),
        help="rotate: print a new one, and sign with that and with what signed before; retire: with the new one only",
    )
    secret.add_argument("--tenant", type=tenant, default=DEFAULT_TENANT, help="default: %(default)s")
    letters = commands.add_parser("dlq", help="the dead letters: messages of jobs that were given up")
    actions = letters.add_subparsers(dest="action", required=True)
    actions.add_parser("list", help="show them; they stay where they are")
    redrive = actions.add_parser("redrive", help="let their jobs run again, with a new attempt budget")
    redrive.add_argument("job_ids", nargs="*", metavar="JOB_ID", help="only these (default: all)")
    return parser


def _consume(settings: WorkerSettings) -> int:
    shutdown = Shutdown(settings.grace_seconds)
    shutdown.install()
    scratch = _own_scratch(settings.scratch)
    parts = _connect(settings)
    sandbox = WarmSandbox(
        directory=scratch / "tmp", memory_bytes=settings.child_memory_mb << 20, pages=settings.child_pages
    )
    with sandbox:
        engine = _probe(settings, sandbox)
        intake = Intake(parts.queue, weights=settings.lane_weights, visibility_seconds=settings.lease_seconds)
        processor = Processor(
            settings=settings,
            store=parts.store,
            queue=parts.queue,
            dispatch=parts.dispatch,
            intake=intake,
            documents=parts.documents,
            recogniser=Recogniser(settings, sandbox, engine),
            sandbox=sandbox,
            shutdown=shutdown,
            scratch=scratch,
        )
        threading.Thread(
            target=sweep_forever,
            args=(_sweeper(settings, parts),),
            # Every process has a timer; together the processes of a machine sweep once in the interval.
            kwargs={"every_seconds": settings.sweep_seconds * settings.processes, "stop": shutdown.requested},
            name="sweeper",
            daemon=True,
        ).start()
        if settings.metrics_port:
            _show_metrics(settings, parts.queue, shutdown.requested)
        _log.info("Ready for jobs.", extra={"action": "worker_ready"})
        with _couriers(settings, parts):
            Consumer(intake, processor, shutdown).run()
    shutil.rmtree(scratch, ignore_errors=True)
    _log.info("Stopped.", extra={"action": "worker_stopped"})
    return 0


def _show_metrics(settings: WorkerSettings, queue: JobQueue, stop: threading.Event) -> None:
    """Serve the numbers of all processes of this machine, as each of them does.

    Raises:
        SettingsError: the port cannot be had.
    """
    host, port = settings.metrics_host, settings.metrics_port
    try:
        exposition.serve(host, port)
    except OSError as error:
        raise SettingsError([f"OCR_METRICS_PORT={port} cannot be listened at on {host}: {error.strerror}"]) from error
    threading.Thread(
        target=repeat,
        args=(partial(count_messages, queue),),
        # As with the sweeps: together the processes of a machine ask once in the interval.
        kwargs={"every_seconds": EVERY_SECONDS * settings.processes, "stop": stop},
        name="lane-watch",
        daemon=True,
    ).start()


def _supervise(settings: WorkerSettings, processes: int, environment: Mapping[str, str]) -> int:
    shutdown = Shutdown(settings.grace_seconds)
    shutdown.install()
    command = [sys.executable, str(Path(sys.argv[0]).resolve()), "consume", "--processes", "1"]
    children = {**environment, "OCR_WORKER_PROCESSES": str(processes)}
    if settings.metrics_port:
        children[exposition.VARIABLE] = str(exposition.make_directory())
    supervisor = Supervisor([command] * processes, children)
    supervisor.run(shutdown.requested, grace_seconds=settings.grace_seconds + _MARGIN_SECONDS)
    return 0


def _sweep(settings: WorkerSettings, *, orphans: bool) -> int:
    parts = _connect(settings)
    actions = _sweeper(settings, parts).sweep()
    _log.info("Swept: %s actions.", actions, extra={"action": "swept"})
    if orphans:
        remove_orphans(parts.store, parts.documents)
    return 0


def _sweeper(settings: WorkerSettings, parts: _Parts) -> Sweeper:
    return Sweeper(
        parts.store,
        parts.queue,
        parts.documents,
        parts.dispatch,
        parts.letters,
        chunks_in_lane=settings.chunks_in_lane,
    )


def _couriers(settings: WorkerSettings, parts: _Parts) -> Couriers:
    poster = Poster(allow_private=settings.webhooks.allow_private)
    courier = Courier(parts.store, parts.endpoints, poster)
    look_seconds = settings.sweep_seconds * settings.processes
    return Couriers(courier, parts.store.events, parts.agenda, look_seconds=look_seconds)


def _webhook_secret(settings: WorkerSettings, action: str, of: str) -> int:
    endpoints = _connect(settings).endpoints
    if action == "rotate":
        print(endpoints.rotate(of))
    else:
        endpoints.retire(of)
    return 0


def _dead_letters(settings: WorkerSettings, action: str, job_ids: Sequence[str]) -> int:
    parts = _connect(settings)
    if parts.letters is None:
        raise SettingsError(["OCR_SQS_DLQ_URL is not set; .env.example shows a value"])
    office = DeadLetterOffice(store=parts.store, dispatch=parts.dispatch, letters=parts.letters)
    if action == "list":
        lines = (f"{letter.sent_at:%Y-%m-%dT%H:%M:%SZ}  {_name(letter)}  {letter.reason}" for letter in office.list())
    else:
        lines = (f"{_name(letter)}  {outcome}" for letter, outcome in office.redrive(job_ids))
    count = 0
    for line in lines:
        print(line, flush=True)
        count += 1
    print(f"{count} dead letters" if count != 1 else "1 dead letter", file=sys.stderr)
    return 0


def _name(letter: DeadLetter) -> str:
    return letter.job.job_id if letter.job else f"(unreadable message {letter.message_id})"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    store: JobStore
    queue: JobQueue
    documents: DocumentStore
    dispatch: Dispatch
    endpoints: EndpointStore
    agenda: Agenda
    letters: DeadLetterQueue | None


def _connect(settings: WorkerSettings) -> _Parts:
    clients = aws.connect(settings.aws)
    table, lease = settings.aws.table, dt.timedelta(seconds=settings.lease_seconds)
    store = JobStore(clients.dynamodb, table, lease=lease, attempt_budget=settings.attempt_budget)
    letters_url = settings.aws.dead_letter_queue_url
    queue = JobQueue(clients.sqs, settings.aws.queue_urls, letters_url, long_poll=clients.sqs_long_poll)
    places = Places(clients.dynamodb, table, most=settings.tenant_jobs_in_lane, lease=lease)
    usage = Usage(clients.dynamodb, table) if settings.tenant_pages_a_day else None
    agenda = Agenda()
    return _Parts(
        store=store,
        queue=queue,
        documents=DocumentStore(clients.s3, settings.aws.bucket),
        dispatch=Dispatch(store, queue, places, usage=usage, announce=agenda.put),
        endpoints=EndpointStore(clients.dynamodb, table, default_secrets=settings.webhooks.secrets),
        agenda=agenda,
        letters=DeadLetterQueue(clients.sqs, letters_url) if letters_url else None,
    )


def _probe(settings: WorkerSettings, sandbox: WarmSandbox) -> EngineInfo:
    """Choose the engine, once; every language we promise must be there.

    Raises:
        SettingsError: no engine, or a language without its data.
    """
    try:
        found = sandbox.call_twice("probe", seconds=_PROBE_SECONDS, engine=settings.engine, **sandbox.limits_for(0))
    except DocumentRejected as error:
        raise SettingsError(
            [f"OCR_ENGINE={settings.engine}: Tesseract does not start; install tesseract-ocr and the Python packages"]
        ) from error
    missing = [language for language in settings.languages if language not in found["languages"]]
    if missing:
        names = " ".join(f"tesseract-ocr-{language.replace('_', '-')}" for language in missing)
        raise SettingsError([f"OCR_LANGUAGES: no data for {', '.join(missing)}; install {names}, or take them out"])
    _log.info("Engine: %s, Tesseract %s.", found["name"], found["tesseract"], extra={"action": "engine_chosen"})
    return EngineInfo(name=found["name"], tesseract=found["tesseract"], languages=settings.languages)


def _own_scratch(root: Path) -> Path:
    """This process's directory for documents in work; what dead workers left behind is removed.

    Raises:
        SettingsError: the directory cannot be written.
    """
    own = root / f"worker-{os.getpid()}"
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in root.glob("worker-*"):
            if not is_alive(left.name.removeprefix("worker-")):
                shutil.rmtree(left, ignore_errors=True)
        shutil.rmtree(own, ignore_errors=True)
        own.mkdir(mode=0o700)
    except OSError as error:
        raise SettingsError([f"OCR_SCRATCH_DIR={root} cannot be written: {error.strerror}"]) from error
    return own

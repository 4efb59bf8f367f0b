"""``make demo``: send documents, follow them, and print what was read on each page, by which source and why.

Uses the stack that is running (``make run``); if there is none, it starts one on free ports and throwaway data, and
stops it afterwards. What it does over HTTP is what any client does.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hybrid_ocr_core.errors import SettingsError
from infra.local.claims import LOOPBACK
from infra.local.environment import ROOT, LauncherSettings
from infra.local.stack import DOCUMENTS, answers
from infra.local.supervisor import tethered

#: One of each kind: born digital, a scan under a wrong OCR layer, pictures and a blank page, a scan, a turned one.
_SHOWN = ("pdflatex-4-pages.pdf", "graph_ocred.pdf", "toc.pdf", "phototest.tif", "phototest-rotated-L.png")
_TERMINAL = {"DONE", "FAILED"}
_READY_SECONDS = 60
_JOB_SECONDS = 120
_LINES_A_PAGE = 3
_LONGEST_LINE = 100

Json = dict[str, Any]


class DemoFailed(Exception):
    """It did not work; the message says what."""


def main() -> int:
    """Run the demo."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("documents", nargs="*", type=Path, help="PDFs or images (default: some of tests/documents)")
    documents = parser.parse_args().documents or [path for name in _SHOWN if (path := DOCUMENTS / name).exists()]
    try:
        settings = LauncherSettings.from_env(os.environ)
        with running_stack(settings) as port:
            show(Client(port, settings.variables["OCR_API_KEY"]), documents)
    except (SettingsError, DemoFailed, OSError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


@contextlib.contextmanager
def running_stack(settings: LauncherSettings) -> Iterator[int]:
    """The port of the stack that is running, or of one for the while."""
    if answers(settings.port, "/ready"):
        print(f"Using the service at {settings.url}.")
        yield settings.port
        return
    print(f"Nothing runs at {settings.url}: starting a service for this demo...")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="hybrid-ocr-demo-") as data:
        own = {"OCR_PORT": str(port), "OCR_EMULATOR_PORT": str(free_port()), "OCR_DATA_DIR": data}
        command = tethered([sys.executable, "-m", "infra.local.run"], signal.SIGTERM)
        launcher = subprocess.Popen(command, cwd=ROOT, env=os.environ | own, stdout=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + _READY_SECONDS
            while not answers(port, "/ready"):
                if launcher.poll() is not None or time.monotonic() > deadline:
                    raise DemoFailed("the service did not start; `make run` shows why")
                time.sleep(0.1)
            yield port
        finally:
            launcher.terminate()
            launcher.wait()


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


class Client:
    """The two calls a client needs."""

    def __init__(self, port: int, key: str) -> None:
        self._url = f"http://{LOOPBACK}:{port}"
        self._key = key
        # No proxy, whatever the environment says: everything is on this machine.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def submit(self, document: Path) -> str:
        """POST /jobs; returns the job's id."""
        boundary = uuid.uuid4().hex
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{document.name}"\r\n\r\n'
        body = head.encode() + document.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
        headers = {"x-api-key": self._key, "Content-Type": f"multipart/form-data; boundary={boundary}"}
        answer = self.get(urllib.request.Request(f"{self._url}/jobs", data=body, headers=headers))  # noqa: S310 - http
        return str(answer["job_id"])

    def job(self, job_id: str) -> Json:
        """GET /jobs/<id>."""
        headers = {"x-api-key": self._key}
        return self.get(urllib.request.Request(f"{self._url}/jobs/{job_id}", headers=headers))  # noqa: S310 - http

    def get(self, request: urllib.request.Request | str) -> Json:
        """The JSON that a request is answered with."""
        with self._opener.open(request, timeout=30) as response:
            answer: Json = json.load(response)
            return answer


def show(client: Client, documents: Sequence[Path]) -> None:
    """Submit all, then print each as soon as it is through."""
    started = time.monotonic()
    jobs = {client.submit(document): document for document in documents}
    for job_id, document in jobs.items():
        print(f"POST /jobs  {document.name:28} -> {job_id} QUEUED")
    waiting = dict(jobs)
    while waiting:
        if time.monotonic() - started > _JOB_SECONDS:
            raise DemoFailed(f"{len(waiting)} of {len(jobs)} jobs are not done after {_JOB_SECONDS} s")
        time.sleep(0.2)
        for job_id in list(waiting):
            job = client.job(job_id)
            if job["status"] in _TERMINAL:
                document = waiting.pop(job_id)
                print(f"\n{document.name}: {job['status']} after {time.monotonic() - started:.1f} s")
                show_result(client, job)
    print(f"\nAll {len(jobs)} after {time.monotonic() - started:.1f} s.")


def show_result(client: Client, job: Json) -> None:
    """The pages of a DONE job, or the error of a FAILED one."""
    if job["error"]:
        print(f"  {job['error']['code']}: {job['error']['message']}")
        return
    # A presigned URL: it needs no key, and goes to the store, not to the API.
    for page in client.get(job["result_url"])["pages"]:
        confidence = "" if page["confidence"] is None else f", confidence {page['confidence']:.0f}"
        print(f"  page {page['page']}: {page['source']} ({page['reason']}{confidence})")
        lines = [line for line in page["text"].splitlines() if line.strip()]
        for line in lines[:_LINES_A_PAGE]:
            print(f"    | {line[:_LONGEST_LINE]}")


if __name__ == "__main__":
    sys.exit(main())

"""Batches on the whole service: parts and archives, good and bad, read by real workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.archives import archive, encrypted
from tests.make_documents import GENERATED
from tests.system.stack import Stack

_GOOD = GENERATED["born-digital.pdf"]()
_BROKEN = _GOOD[: len(_GOOD) // 2]


@pytest.mark.failure(9)
def test_a_batch_of_parts_and_archives_ends_with_every_file_accounted_for(stack: Stack) -> None:
    members = {f"2026/{number:02}.pdf": _GOOD for number in range(18)}
    members |= {"2026/notes.txt": b"plain", "2026/empty.pdf": b"", "broken.pdf": _BROKEN}
    files = [
        *(("file", (f"{number}.pdf", _GOOD)) for number in range(6)),
        ("file", ("pile.zip", archive(members))),
        ("file", ("secret.zip", encrypted(_GOOD))),
        ("file", ("notes.txt", b"plain")),
        ("file", ("broken.pdf", _BROKEN)),
    ]

    posted = stack.post("/batches", files=files, data={"client_reference": "order 7", "outputs": "txt"})

    assert posted.status_code == 202, posted.text
    path = posted.headers["Location"]
    batch: dict[str, Any] = stack.wait_until(
        lambda: (found := stack.get(path).json())["status"] == "DONE" and found, "the batch to be done"
    )
    assert batch["client_reference"] == "order 7"
    assert batch["counts"] == {
        "files": 30,
        "queued": 0,
        "processing": 0,
        "done": 24,
        "failed": 2,
        "refused": 4,
        "erased": 0,
    }
    assert {file["filename"]: file["error"]["code"] for file in batch["files"] if file["error"]} == {
        "2026/notes.txt": "unsupported_media_type",
        "2026/empty.pdf": "file_empty",
        "secret.pdf": "encrypted_document",
        "notes.txt": "unsupported_media_type",
        "broken.pdf": "corrupt_document",
    }
    (last,) = (file for file in batch["files"] if file["filename"] == "2026/17.pdf")
    job = stack.get(last["location"]).json()
    assert (job["batch_id"], job["client_reference"]) == (batch["batch_id"], "order 7")
    assert b"Invoice" in stack.result(last["job_id"], "txt")


def test_a_batch_does_not_grow_the_api(own_stack: Stack) -> None:
    """Parts that are each small enough to be kept in memory by default, and an archive of as many bytes."""
    page = b"plain text" + bytes(400_000)
    scan = b"%PDF-1.7\n" + bytes(10 << 20)
    parts = [("file", (f"{number}.txt", page)) for number in range(150)]
    parts += [("file", (f"{number}.pdf", scan)) for number in range(8)]
    before = _memory(own_stack)

    with_parts = own_stack.post("/batches", files=parts)
    with_archive = own_stack.post(
        "/batches", files=[("file", ("a.zip", archive({f"{number}.pdf": scan for number in range(8)}, 0)))]
    )

    assert with_parts.json()["counts"]["refused"] == 150
    assert (with_parts.json()["counts"]["files"], with_archive.json()["counts"]["files"]) == (158, 8)
    assert _memory(own_stack) - before < 30 << 20


def _memory(stack: Stack) -> int:
    """Peak resident bytes of the API's largest process."""
    peaks = []
    for pid in stack.pids("gunicorn"):
        status = Path(f"/proc/{pid}/status").read_text()
        peaks.append(next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) << 10)
    return max(peaks)

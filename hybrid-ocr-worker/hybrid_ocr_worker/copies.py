"""The result of a document that was seen before: files copied into the new job's own prefix, under its own name.

Erasing one job leaves the other as it is. Where the other's result is of no use, for it failed or is gone, the document
is recognised as any other.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from hybrid_ocr_core.document_store import DocumentStore, SourceMissing
from hybrid_ocr_core.errors import JobNotFound
from hybrid_ocr_core.job import Document, Ended, Job, JobId, Lease
from hybrid_ocr_core.job_store import JobStore
from hybrid_ocr_worker.heartbeat import Heartbeat
from hybrid_ocr_worker.ocr.formats.hocr import rename_hocr
from hybrid_ocr_worker.ocr.formats.page_json import rename_json

_log = logging.getLogger(__name__)

#: Outputs that hold the name of their document.
_NAMING = frozenset({"json", "hocr"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Copies:
    """Copies results."""

    jobs: JobStore
    documents: DocumentStore

    def copy(self, job: Job, lease: Lease, heartbeat: Heartbeat, directory: Path) -> Ended | None:
        """Bring a job to DONE with its leader's result; None where that is of no use.

        Raises:
            LeaseLost, Unavailable: as every step of a job.
        """
        assert job.leader is not None
        try:
            leader = self.jobs.get(JobId(tenant=job.tenant, job_id=job.leader))
            if leader.result is None or leader.result.failed_pages:
                return None
            for output in leader.result.outputs:
                heartbeat.check()
                if output not in _NAMING:
                    self.documents.copy_result(leader, job.id, attempt=lease.attempt, output=output)
                    continue
                self.documents.put_result(
                    job.id,
                    attempt=lease.attempt,
                    revision=0,
                    output=output,
                    path=self._renamed(leader, job, output, directory),
                    still_wanted=heartbeat.check,
                )
        except (JobNotFound, SourceMissing):
            # Erased meanwhile. What was copied is overwritten by this very attempt, as it goes on.
            return None
        # A crash here leaves copies of an attempt that no item points to; they go with the job's prefix.
        result = replace(leader.result, attempt=lease.attempt, revision=0, deduplicated_from=job.leader)
        end = self.jobs.complete(lease, _document(leader, job), result)
        _log.info("Copied the result of another job.", extra={"action": "job_copied"})
        return end

    def _renamed(self, leader: Job, job: Job, output: str, directory: Path) -> Path:
        theirs, ours = directory / f"{output}-theirs", directory / f"{output}-ours"
        self.documents.get_result(leader, output, theirs)
        if output == "json":
            rename_json(theirs, ours, {"job_id": job.job_id, "document": asdict(_document(leader, job))})
        else:
            rename_hocr(theirs, ours, job.document.filename)
        return ours


def _document(leader: Job, job: Job) -> Document:
    return replace(job.document, pages=leader.document.pages)

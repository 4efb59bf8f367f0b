"""What an operator does with dead letters: list them, and let their jobs run again."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from hybrid_ocr_core.dead_letters import DeadLetter, DeadLetterQueue
from hybrid_ocr_core.dispatch import Dispatch
from hybrid_ocr_core.errors import JobNotFound, NewerSchema, SourceGone
from hybrid_ocr_core.job import JobStatus
from hybrid_ocr_core.job_store import JobStore

#: Letters are hidden for so long while someone reads through them, so that each is shown once.
_LISTING_SECONDS = 15
_REDRIVING_SECONDS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterOffice:
    """The commands ``dlq list`` and ``dlq redrive``, and the sweeper's look at strayed letters."""

    store: JobStore
    dispatch: Dispatch
    letters: DeadLetterQueue

    def list(self) -> Iterator[DeadLetter]:
        """Every letter, once. They stay where they are."""
        return self.letters.letters(hide_seconds=_LISTING_SECONDS)

    def redrive(self, job_ids: Collection[str]) -> Iterator[tuple[DeadLetter, str]]:
        """Let the jobs of these letters run again (all, if none is named); yields each letter and what became of it."""
        for letter in self.letters.letters(hide_seconds=_REDRIVING_SECONDS):
            if letter.job is None:
                if not job_ids:
                    yield letter, "kept: nobody can tell whose it is"
            elif not job_ids or letter.job.job_id in job_ids:
                yield letter, self._redrive(letter)

    def sort(self, most: int) -> int:
        """Remove letters of jobs that are not FAILED: they live, or are done, and the sweeper sees to them.

        A message of a healthy job may be moved here by SQS after many deliveries. The job itself stands in the index of
        open jobs and is sent again from there, so the letter is of no use. Returns how many were removed.
        """
        removed = 0
        for letter in self.letters.letters(hide_seconds=_LISTING_SECONDS, most=most):
            if letter.job is not None and not self._is_failed(letter):
                self.letters.delete(letter)
                removed += 1
        return removed

    def _redrive(self, letter: DeadLetter) -> str:
        assert letter.job is not None
        try:
            job = self.store.redrive(letter.job)
        except JobNotFound:
            self.letters.delete(letter)
            return "deleted: the job was erased"
        except SourceGone:
            self.letters.delete(letter)
            return "deleted: the document is not kept any more"
        if job is not None:
            # A crash here leaves a QUEUED job without a message, for the sweeper, and its letter for the next redrive.
            self.dispatch.offer(job)
        # A crash here leaves a letter of a job that is not FAILED any more; the sweeper removes it.
        self.letters.delete(letter)
        return "sent again" if job is not None else "deleted: the job is not FAILED"

    def _is_failed(self, letter: DeadLetter) -> bool:
        assert letter.job is not None
        try:
            return self.store.get(letter.job).status is JobStatus.FAILED
        except JobNotFound:
            return False
        except NewerSchema:
            return True  # nobody here can tell

"""The protocol with one thing changed. If no promise breaks then, the thing is not needed, or the model too coarse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hybrid_ocr_core.job_store import CONDITIONS
from tests.model.conditions import without_each
from tests.model.explore import Verdict, explore
from tests.model.scenarios import BASE
from tests.model.store import Protocol


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """``shown_by``: where a promise breaks soonest; the other scenarios are explored only if it does not."""

    name: str
    protocol: Protocol
    shown_by: str
    to_an_end: bool = True

    def verdict(self) -> Verdict:
        """The first broken promise in any of the base scenarios."""
        verdict = Verdict(0, 0)
        for scenario in sorted(BASE, key=lambda scenario: scenario.name != self.shown_by):
            verdict = explore(self.protocol, scenario, to_an_end=self.to_an_end)
            if verdict.broken:
                break
        return verdict


#: Only a PROCESSING item has a lease, for every write that ends an attempt removes it. So this condition is a second
#: guard: it is needed as soon as a terminal write is "untidy" and leaves the lease and the entry in the index behind.
SECOND_GUARDS = [
    (transition, taken)
    for transition, expression in CONDITIONS.items()
    for taken, _ in without_each(expression)
    if transition in {"claim", "exhaust", "resend"} and taken == "#status = :processing"
]
UNTIDY = Protocol().changed("untidy")

_SHOWN_BY = {
    "create": "lost responses",
    "claim": "deliveries",
    "claim: attribute_not_exists(erased_at)": "erasure of a paused job",
    "claim: budget_used < :budget": "crashes",
    "claim: #status = :processing": "deliveries",
    "renew": "late writes",
    "complete": "late writes",
    "fail": "late writes",
    "release": "late writes",
    "exhaust": "crashes",
    "exhaust: attempt = :seen": "erasure of a paused job",
    "exhaust: budget_used >= :budget": "giving up",
    "resend": "two sweepers",
    "redrive": "redrives",
    "redrive: attribute_not_exists(erased_at)": "erasure and letters",
    "erase": "erasure",
    "purged": "erasure",
}


def of_the_conditions() -> Iterator[Mutant]:
    """Each single condition of the store taken away."""
    for transition, expression in CONDITIONS.items():
        for taken, changed in without_each(expression):
            name = f"{transition}: {taken}"
            is_second = (transition, taken) in SECOND_GUARDS
            yield Mutant(
                name=name,
                protocol=(UNTIDY if is_second else Protocol()).without(transition, changed),
                shown_by=_SHOWN_BY.get(name, _SHOWN_BY.get(transition, "")),
                to_an_end=not is_second,  # an untidy write alone leaves the job in the index for ever
            )


_RECOGNITION = {
    # The refused write is not held against the item that refused it.
    "no recognition: create": "lost responses",
    "no recognition: claim": "lost responses",
    "no recognition: complete": "lost responses",
    "no recognition: fail": "lost responses",
    "no recognition: release": "lost responses",
    "no recognition: exhaust": "redrives",
    "no recognition: resend": "two sweepers",
    "no recognition: redrive": "redrives",
    "no recognition: erase": "erasure",
    # It is, but whose write the item shows does not count.
    "lax recognition: claim": "lost responses",
    "lax recognition: complete": "late writes",
    "lax recognition: fail": "crashes",
    "lax recognition: exhaust": "older lives",
}
_ORDER = {
    "no sweeper": "crashes",
    "no sorting": "dead letters",
    "no orphan run": "erasure of a paused job",
    "send before create": "crashes",
    "create before store": "crashes",
    "delete first": "crashes",
    "hide before renew": "deliveries",
    "shared key": "crashes",
    "letter first": "older lives",
    "no second letter": "redrives",
    "bounce": "a healthy job",
    "purge at once": "erasure",
}


def of_the_recognition() -> Iterator[Mutant]:
    """Each way in which the store knows its own write again, taken away or made lax."""
    return _changes(_RECOGNITION)


def of_the_order() -> Iterator[Mutant]:
    """Each piece of the order changed."""
    return _changes(_ORDER)


def _changes(shown_by: dict[str, str]) -> Iterator[Mutant]:
    for name, scenario in shown_by.items():
        yield Mutant(name=name, protocol=Protocol().changed(name), shown_by=scenario)

"""The protocol with one thing changed. If no promise breaks then, the thing is not needed, or the model too coarse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.model.conditions import without_each
from tests.model.explore import Verdict, explore
from tests.model.scenarios import BASE
from tests.model.store import CONDITIONS, Protocol


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


#: Second guards, and the first ones: each is needed once that one is gone. Only a PROCESSING item has a lease, for
#: every write that ends an attempt removes it; an "untidy" one leaves it, and the entry in the index, behind. And the
#: store looks at the item that refused a write before it sends the second one; when "blind" it does not.
SECOND_GUARDS = {
    **dict.fromkeys(
        (f"{name}: #status = :processing" for name in ("claim", "exhaust", "resend", "chunk claim", "chunk skip")),
        "untidy",
    ),
    "resend split: attribute_not_exists(lease_expires_at)": "blind",
}

#: What the model cannot show, and why it stays.
NOT_SHOWN = {
    "claim home: attribute_exists(split_by)": "where it is missing, so is chunks_left, and the rest is false",
    "resend split: attribute_exists(split_by)": "only a split job is PROCESSING and has no lease",
    "resend split: #status = :processing": "whatever ends or frees a job changes sweep_at, so :seen refuses",
    "chunk skip: attempt = :seen": "a chunk that is free without budget is to lose a page, whoever saw it so",
    "no second wake": "the sweeper wakes the job too, but only after a lease",
}

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
    "split": "split: late writes",
    "claim home": "split: crashes",
    "claim home: chunks_left = :none": "split: redrives",
    "resend split": "split: sweeps",
    "chunk create": "split: copied writes",
    "chunk claim": "split: crashes",
    "chunk claim: #status = :processing": "split: paused workers",
    "chunk skip": "split: pages given up by two",
    "chunk renew": "split: late writes on chunks",
    "chunk release": "split: late writes on chunks",
    "chunk home": "split: late writes on chunks",
    "chunk wanted: #status = :processing": "split: paused workers",
    "chunk wanted: split_by = :split": "split: erasure",
}


def of_the_conditions() -> Iterator[Mutant]:
    """Each single condition of the stores taken away, and with a second guard the first one."""
    return (mutant for mutant in _without_conditions() if mutant.name not in NOT_SHOWN)


def not_shown() -> Iterator[Mutant]:
    """Those that break no promise."""
    yield from (mutant for mutant in _without_conditions() if mutant.name in NOT_SHOWN)
    yield Mutant(name="no second wake", protocol=Protocol().changed("no second wake"), shown_by="")


def _without_conditions() -> Iterator[Mutant]:
    for transition, expression in CONDITIONS.items():
        for taken, changed in without_each(expression):
            name = f"{transition}: {taken}"
            first = SECOND_GUARDS.get(name)
            yield Mutant(
                name=name,
                protocol=Protocol().changed(*([first] if first else [])).without(transition, changed),
                shown_by=_SHOWN_BY.get(name, _SHOWN_BY.get(transition, "")),
                to_an_end=first != "untidy",  # such a write alone leaves the job in the index for ever
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
    "no recognition: split": "split: lost responses",
    "no recognition: claim home": "split: lost responses",
    "no recognition: resend split": "split: lost responses and sweeps",
    "no recognition: chunk create": "split: lost responses",
    "no recognition: chunk claim": "split: lost responses",
    "no recognition: chunk skip": "split: pages and lost responses",
    "no recognition: chunk release": "split: lost responses",
    "no recognition: chunk home": "split: lost responses",
    "no recognition: chunk fail job": "split: lost responses",
    # It is, but whose write the item shows does not count.
    "lax recognition: claim": "lost responses",
    "lax recognition: complete": "late writes",
    "lax recognition: fail": "crashes",
    "lax recognition: exhaust": "older lives",
    "lax recognition: split": "split: a paused splitter",
    "lax recognition: claim home": "split: lost responses",
    "lax recognition: chunk claim": "split: lost responses and sweeps",
    "lax recognition: chunk skip": "split: pages and lost responses",
    "lax recognition: chunk home": "split: paused workers",
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
    "split before create": "split: crashes",
    "send before split": "split: crashes",
    "shared split": "split: redrives",
    "keeps the attempt: split": "split: late writes",
    "keeps the lease: split": "split: crashes",
    "keeps the split: erase": "split: erasure",
    "keeps the split: redrive": "split: dead letters",
    "no look at the job: chunk renew": "split: erasure",
    "no look at the job: chunk home": "split: paused workers",
    "no look at the job: chunk fail job": "split: erasure and paused workers",
    "home before pages": "split: crashes",
    "no check before a page": "split: erasure",
    "bare count": "split: crashes",
    "no next": "split: crashes",
    "next before home": "split: crashes",
    "wake before home": "split: crashes",
    "delete before home": "split: crashes",
    "no lost chunks": "split: crashes",
    "tidy first": "split: crashes",
    "no removal": "split: erasure",
}


def everything() -> Iterator[Mutant]:
    """All that are caught."""
    yield from of_the_conditions()
    yield from of_the_recognition()
    yield from of_the_order()


def of_the_recognition() -> Iterator[Mutant]:
    """Each way in which the store knows its own write again, taken away or made lax."""
    return _changes(_RECOGNITION)


def of_the_order() -> Iterator[Mutant]:
    """Each piece of the order changed."""
    return _changes(_ORDER)


def _changes(shown_by: dict[str, str]) -> Iterator[Mutant]:
    for name, scenario in shown_by.items():
        yield Mutant(name=name, protocol=Protocol().changed(name), shown_by=scenario)

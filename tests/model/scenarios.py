"""Which faults are explored together: small sets for every push, one for each concern, and larger ones."""

from __future__ import annotations

from functools import partial

from tests.model.state import Faults
from tests.model.store import Scenario

#: Of a long document. Before "after" there are no faults, for other scenarios have them there.
_Split = partial(Scenario, chunks=2)
_accepted, _split, _home = (partial(_Split, after=after) for after in ("accepted", "split", "home"))

#: Every fault is in one of them.
SHORT = (
    Scenario(name="crashes", faults=Faults(crash=2, lapse=1, transient=1, permanent=1)),
    Scenario(name="deliveries", faults=Faults(crash=1, duplicate=1, visibility=1, lost_delete=1, beat=1)),
    Scenario(name="late writes", faults=Faults(delay=1, lapse=1, transient=1, permanent=1, outage=1)),
    Scenario(name="lost responses", faults=Faults(lost=1, lapse=1, outage=1, permanent=1, sweep=1)),
    Scenario(name="giving up", faults=Faults(lapse=1, outage=1, redrive=1, duplicate=1), budget=1),
    Scenario(name="older lives", faults=Faults(delay=1, transient=1, outage=1, redrive=1), budget=1),
    Scenario(name="redrives", faults=Faults(crash=1, lost=1, transient=1, redrive=1), budget=1),
    Scenario(name="two sweepers", faults=Faults(sweep=2, early=1, lost=1), sweepers=2),
    Scenario(name="erasure", faults=Faults(erase=2, crash=1, expire=1, lost=1)),
    Scenario(name="erasure of a paused job", faults=Faults(erase=1, lapse=1, transient=1, visibility=1), budget=1),
    Scenario(name="erasure and letters", faults=Faults(erase=1, transient=1, redrive=1), budget=1),
    Scenario(name="dead letters", faults=Faults(transient=2, lost_delete=1, redrive=1), budget=1, max_receives=2),
    Scenario(name="a healthy job", faults=Faults(visibility=2, duplicate=1, beat=1), max_receives=3),
)

#: The same for long documents.
SPLIT = (
    _accepted(name="split: crashes", faults=Faults(crash=1, transient=1, permanent=1)),
    _accepted(name="split: a paused splitter", faults=Faults(lapse=1, visibility=1)),
    _split(name="split: paused workers", faults=Faults(lapse=1, visibility=1, beat=1, permanent=1)),
    _split(name="split: two chunks at a time", faults=Faults(crash=1, lapse=1, permanent=1), window=2),
    _split(name="split: deliveries", faults=Faults(duplicate=1, lost_delete=1, vanish=1)),
    _home(
        name="split: assembly", faults=Faults(lapse=1, visibility=1, duplicate=1, outage=1, transient=1, permanent=1)
    ),
    _accepted(name="split: late writes", faults=Faults(delay=1, outage=1)),
    _split(name="split: late writes on chunks", faults=Faults(delay=1, transient=1, permanent=1)),
    _accepted(name="split: copied writes", faults=Faults(copy=1, crash=1)),
    _accepted(name="split: lost responses", faults=Faults(lost=1, lapse=1, transient=1, permanent=1)),
    _split(name="split: lost responses and sweeps", faults=Faults(lost=1, lapse=1, sweep=1)),
    _split(name="split: pages that kill", faults=Faults(crash=2, lapse=1), budget=1, pages=2),
    _split(name="split: pages given up by two", faults=Faults(lapse=1, visibility=1, outage=1), budget=1),
    _split(
        name="split: pages and lost responses", faults=Faults(lost=1, lapse=1, sweep=1, transient=1), budget=1, chunks=1
    ),
    _split(name="split: sweeps", faults=Faults(sweep=1, early=1)),
    _split(name="split: two sweepers", faults=Faults(sweep=1, vanish=1, lost=1), sweepers=2),
    _accepted(name="split: erasure", faults=Faults(erase=1, crash=1, expire=1)),
    _accepted(name="split: erasure and paused workers", faults=Faults(erase=1, lapse=1, beat=1, permanent=1)),
    _accepted(name="split: redrives", faults=Faults(transient=1, redrive=1), budget=1),
    _split(name="split: dead letters", faults=Faults(transient=1, permanent=1, redrive=1), max_receives=1),
)
BASE = (*SHORT, *SPLIT)

#: Minutes each.
LONG = (
    Scenario(
        name="crashes and deliveries",
        faults=Faults(crash=2, duplicate=1, visibility=1, lapse=1, lost_delete=1, transient=1, permanent=1),
    ),
    Scenario(
        name="late and lost writes",
        faults=Faults(delay=2, lost=1, lapse=1, outage=1, transient=1, permanent=1, duplicate=1),
    ),
    Scenario(
        name="many lives",
        faults=Faults(redrive=2, crash=1, lapse=1, outage=1, transient=1, duplicate=1),
        budget=1,
    ),
    Scenario(
        name="two sweepers and crashes",
        faults=Faults(sweep=2, early=1, crash=1, lost=1, lapse=1),
        sweepers=2,
    ),
    Scenario(
        name="erasure in every state",
        faults=Faults(erase=1, crash=1, lapse=1, delay=1, lost=1, expire=1, transient=1),
    ),
    Scenario(
        name="strayed letters",
        faults=Faults(crash=2, visibility=1, redrive=1),
        budget=1,
        max_receives=2,
    ),
    _Split(name="split: a whole life", faults=Faults(crash=1, lapse=1)),
    _accepted(
        name="split: crashes and pauses",
        faults=Faults(crash=2, lapse=1, transient=1, permanent=1),
        window=2,
    ),
    _split(
        name="split: late and lost writes",
        faults=Faults(delay=1, lost=1, lapse=1, outage=1, transient=1, permanent=1),
    ),
    _split(name="split: three chunks", faults=Faults(crash=2, lapse=1, lost=1, permanent=1), chunks=3, window=2),
    _split(
        name="split: pages that kill in every way",
        faults=Faults(crash=1, lapse=1, visibility=1, beat=1, lost=1),
        budget=1,
        pages=2,
    ),
    _accepted(name="split: erasure in every state", faults=Faults(erase=1, lapse=1, delay=1)),
    _accepted(
        name="split: many lives",
        faults=Faults(redrive=1, crash=1, transient=1, lost=1),
        budget=1,
    ),
)

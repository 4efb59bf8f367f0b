"""Which faults are explored together: small sets for every push, one for each concern, and larger ones."""

from __future__ import annotations

from tests.model.state import Faults
from tests.model.store import Scenario

#: Every fault is in one of them.
BASE = (
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
)

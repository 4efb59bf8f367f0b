"""The AWS requests of every step, and what DynamoDB counts them as. A test counts the real ones and compares.

Write units: one for each started kilobyte of the item, twice that in a transaction; an entry of the index that comes or
goes is one more, one that moves two. A job's item has less than a kilobyte, a chunk's much less. Read units: one for
each started 4 kB, consistent.
"""

from __future__ import annotations

import math
from collections import Counter
from enum import StrEnum, auto
from typing import NamedTuple


class Cost(NamedTuple):
    """Of one request. ``operation`` is boto3's name for it."""

    operation: str
    write_units: float = 0
    read_units: float = 0


class Request(StrEnum):
    """What the service sends."""

    PUT_OBJECT = auto()
    GET_OBJECT = auto()
    LIST_OBJECTS = auto()
    DELETE_OBJECT = auto()

    LEAD_CONTENT = auto()
    CREATE_JOB = auto()
    CLAIM_JOB = auto()
    REFUSED_CLAIM = auto()
    RENEW_JOB = auto()
    COMPLETE_JOB = auto()
    RELEASE_JOB = auto()
    SPLIT_JOB = auto()
    LOOK_AT_JOB = auto()
    CREATE_CHUNK = auto()
    CLAIM_CHUNK = auto()
    RENEW_CHUNK = auto()
    CHUNK_HOME = auto()
    MOVE_PLACE = auto()
    WRITE_TICKET = auto()
    LOOK_FOR_TICKETS = auto()
    TEAR_UP_TICKET = auto()
    SWEEP = auto()

    SEND = auto()
    RECEIVE = auto()
    HIDE = auto()
    DELETE_MESSAGE = auto()


COSTS = {
    Request.PUT_OBJECT: Cost("PutObject"),
    Request.GET_OBJECT: Cost("GetObject"),
    Request.LIST_OBJECTS: Cost("ListObjectsV2"),
    Request.DELETE_OBJECT: Cost("DeleteObject"),
    Request.LEAD_CONTENT: Cost("UpdateItem", write_units=1),
    Request.CREATE_JOB: Cost("PutItem", write_units=2),  # an entry comes
    Request.CLAIM_JOB: Cost("UpdateItem", write_units=3),  # it moves
    Request.REFUSED_CLAIM: Cost("UpdateItem", write_units=1),
    Request.RENEW_JOB: Cost("UpdateItem", write_units=3),
    Request.COMPLETE_JOB: Cost("UpdateItem", write_units=2),  # it goes
    Request.RELEASE_JOB: Cost("UpdateItem", write_units=3),
    Request.SPLIT_JOB: Cost("UpdateItem", write_units=3),
    Request.LOOK_AT_JOB: Cost("GetItem", read_units=1),
    Request.CREATE_CHUNK: Cost("PutItem", write_units=1),
    Request.CLAIM_CHUNK: Cost("UpdateItem", write_units=1),
    Request.RENEW_CHUNK: Cost("TransactWriteItems", write_units=4),  # the chunk, and a look at the job
    Request.CHUNK_HOME: Cost("TransactWriteItems", write_units=6),  # the chunk, the job, and its entry
    Request.MOVE_PLACE: Cost("UpdateItem", write_units=1),  # take, leave, watch; more while there are many holders
    Request.WRITE_TICKET: Cost("PutItem", write_units=1),
    Request.LOOK_FOR_TICKETS: Cost("Query", read_units=1),
    Request.TEAR_UP_TICKET: Cost("DeleteItem", write_units=1),
    Request.SWEEP: Cost("Query", read_units=0.5),
    Request.SEND: Cost("SendMessageBatch"),
    Request.RECEIVE: Cost("ReceiveMessage"),
    Request.HIDE: Cost("ChangeMessageVisibility"),
    Request.DELETE_MESSAGE: Cost("DeleteMessage"),
}

#: json, txt and pdf: what is made when nothing else is asked for.
OUTPUTS = 3

ACCEPT = Counter({Request.PUT_OBJECT: 1, Request.LEAD_CONTENT: 1, Request.CREATE_JOB: 1})
#: An attempt at a job in one piece, without the receive; renewals come with time.
WHOLE = Counter({Request.CLAIM_JOB: 1, Request.GET_OBJECT: 1})
WHOLE_DONE = Counter({Request.PUT_OBJECT: OUTPUTS, Request.COMPLETE_JOB: 1, Request.DELETE_MESSAGE: 1})
#: An attempt at a chunk. Its pages are put one by one; the first of them renews.
CHUNK = Counter(
    {
        Request.LOOK_AT_JOB: 1,
        Request.CLAIM_CHUNK: 1,
        Request.LIST_OBJECTS: 1,
        Request.GET_OBJECT: 1,
        Request.RENEW_CHUNK: 1,
    }
)
CHUNK_DONE = Counter({Request.CHUNK_HOME: 1, Request.LOOK_AT_JOB: 1, Request.DELETE_MESSAGE: 1})

_HOLDER_BYTES = 35
_KILOBYTE = 1024


def split(chunks: int) -> Counter[Request]:
    """Cutting a document up, without the sends."""
    return Counter(
        {
            Request.CLAIM_JOB: 1,
            Request.GET_OBJECT: 1,
            Request.PUT_OBJECT: chunks,
            Request.CREATE_CHUNK: chunks,
            Request.SPLIT_JOB: 1,
            Request.DELETE_MESSAGE: 1,
        }
    )


def assemble(chunks: int, pages: int) -> Counter[Request]:
    """Putting it together, and removing the parts."""
    parts = Counter(
        {
            Request.REFUSED_CLAIM: 1,  # the usual one, before the one for jobs whose chunks are home
            Request.GET_OBJECT: pages,
            Request.LIST_OBJECTS: 2,
            Request.DELETE_OBJECT: chunks + pages,
        }
    )
    return WHOLE + WHOLE_DONE + parts


class Tally:
    """Counts requests, and DynamoDB's units."""

    def __init__(self) -> None:
        self.requests: Counter[Request] = Counter()
        self._more_write_units = 0

    def add(self, request: Request, times: int = 1) -> None:
        """So many of one."""
        self.requests[request] += times

    def add_all(self, requests: Counter[Request]) -> None:
        """All of a step."""
        self.requests.update(requests)

    def move_place(self, holders: int) -> None:
        """A write on a tenant's places in a lane: the more jobs have one, the longer is the item."""
        self.add(Request.MOVE_PLACE)
        self._more_write_units += math.ceil((holders * _HOLDER_BYTES + 100) / _KILOBYTE) - 1

    @property
    def operations(self) -> Counter[str]:
        """By boto3's names."""
        found: Counter[str] = Counter()
        for request, times in self.requests.items():
            found[COSTS[request].operation] += times
        return found

    @property
    def write_units(self) -> float:
        """DynamoDB's, in all."""
        return self._more_write_units + sum(COSTS[request].write_units * n for request, n in self.requests.items())

    @property
    def read_units(self) -> float:
        """DynamoDB's, in all."""
        return sum(COSTS[request].read_units * times for request, times in self.requests.items())

"""What SQS may do to messages: any order, any number of copies, once more after the delete, handles that are stale."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from hybrid_ocr_core.job_queue import ReceivedMessage
from hybrid_ocr_core.settings import AwsSettings
from tests.every_call.checker import Watch, check
from tests.every_call.scenarios import SCENARIOS
from tests.every_call.world import World


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.failure(4, 17)
def test_the_order_of_the_calls_is_the_design(aws_settings: AwsSettings, tmp_path: Path) -> None:
    world = World(aws_settings, tmp_path)
    world.injector.arm({})
    SCENARIOS[0].run(world)

    assert world.injector.calls == [
        "s3.PutObject",  # the source
        "dynamodb.UpdateItem",  # the leader of its content
        "dynamodb.UpdateItem",  # its place in the lane
        "dynamodb.PutItem",  # accepted
        "sqs.SendMessageBatch",
        "sqs.ReceiveMessage",
        "dynamodb.UpdateItem",  # claimed
        "s3.GetObject",
        "s3.PutObject",  # the result
        "dynamodb.UpdateItem",  # done
        "dynamodb.UpdateItem",  # its place is free
        "sqs.DeleteMessage",
    ]


@pytest.mark.failure(19, 20, 21)
@pytest.mark.parametrize("copies", [(0, 1, 2), (0, 0, 1, 1, 2)], ids=str)
def test_in_every_order_of_messages_each_job_is_read_once(
    aws_settings: AwsSettings, tmp_path: Path, copies: tuple[int, ...]
) -> None:
    world = World(aws_settings, tmp_path, places=3, deduplicates=False)
    for order in sorted(set(itertools.permutations(copies))):
        world.fresh()
        watch = Watch(world)
        world.injector.observe = watch.look
        world.injector.arm({})
        for _ in range(3):
            world.submit()
        world.lose_messages()
        for number in order:
            job = world.accepted[number]
            body = json.dumps({"v": 1, "tenant": job.tenant, "job_id": job.job_id})
            # A handle that SQS does not know any more: the delete is refused, and that is no error.
            message = ReceivedMessage(body=body, receipt_handle="stale", receive_count=9, sent_at=0)
            world.deliver(message)
        calls = world.recogniser.calls
        world.recover()

        assert calls == world.recogniser.calls == 3, order
        check(world, SCENARIOS[0])

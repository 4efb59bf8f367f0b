"""Alive and ready are two questions."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from hybrid_ocr_core.aws import AwsClients
from tests.faults import away


def test_health_touches_nothing_and_needs_no_key(client: FlaskClient, clients: AwsClients) -> None:
    client.environ_base.pop("HTTP_X_API_KEY")
    with away(clients.s3), away(clients.dynamodb), away(clients.sqs):
        response = client.get("/health")

    assert (response.status_code, response.get_json()) == (200, {"status": "ok"})


def test_ready_when_bucket_table_and_queue_answer(client: FlaskClient) -> None:
    response = client.get("/ready")

    assert response.status_code == 200
    assert response.get_json()["checks"] == {"bucket": "ok", "table": "ok", "queue": "ok"}


@pytest.mark.parametrize(("service", "part"), [("s3", "bucket"), ("dynamodb", "table"), ("sqs", "queue")])
def test_not_ready_names_the_part_that_is_away(
    client: FlaskClient, clients: AwsClients, service: str, part: str
) -> None:
    with away(getattr(clients, service)):
        response = client.get("/ready")

    checks = response.get_json()["checks"]
    assert response.status_code == 503
    assert [name for name, state in checks.items() if state != "ok"] == [part]

"""What an operator does with the secrets of webhooks, by the command line."""

from __future__ import annotations

import pytest

from hybrid_ocr_core import logs
from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.endpoint_store import EndpointStore
from hybrid_ocr_core.settings import AwsSettings
from hybrid_ocr_worker import main as command
from tests.conftest import WEBHOOK_SECRET


@pytest.fixture
def environment(aws_settings: AwsSettings, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setattr(logs, "configure", lambda _level: None)  # pytest has its own
    return {
        "AWS_REGION": aws_settings.region,
        "OCR_S3_BUCKET": aws_settings.bucket,
        "OCR_DDB_TABLE": aws_settings.table,
        "OCR_SQS_URL": "unused",
        "OCR_WEBHOOK_SECRET": WEBHOOK_SECRET,
    }


def test_a_new_secret_is_shown_on_stdout_and_signs_beside_the_old_one_until_that_is_retired(
    environment: dict[str, str], endpoints: EndpointStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["webhook-secret", "rotate", "--tenant", "acme"], environment) == 0
    secret = capsys.readouterr().out.strip()
    assert endpoints.secrets("acme") == (secret, WEBHOOK_SECRET)

    assert command.main(["webhook-secret", "retire", "--tenant", "acme"], environment) == 0
    assert capsys.readouterr().out == ""
    assert endpoints.secrets("acme") == (secret,)
    assert endpoints.secrets("default") == (WEBHOOK_SECRET,)


def test_without_a_name_it_is_the_default_tenants(
    environment: dict[str, str], endpoints: EndpointStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["webhook-secret", "rotate"], environment) == 0

    assert endpoints.secrets("default")[0] == capsys.readouterr().out.strip()


@pytest.mark.parametrize("tenant", ["a#b", "a/b", "", ".."])
def test_what_is_no_tenant_is_refused(
    environment: dict[str, str], clients: AwsClients, tenant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as error:
        command.main(["webhook-secret", "rotate", "--tenant", tenant], environment)

    assert error.value.code == 2
    assert "letters, digits" in capsys.readouterr().err
    assert clients.dynamodb.scan(TableName="hybrid-ocr")["Items"] == []


def test_settings_that_are_missing_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["webhook-secret", "rotate"], {}) == 2
    assert "OCR_DDB_TABLE" in capsys.readouterr().err

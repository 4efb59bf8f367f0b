"""Deploy infra/data-plane.yaml to whatever ``AWS_ENDPOINT_URL`` points at, and print the stack's outputs as JSON.

The resources get the names that the environment gives to the services (``OCR_S3_BUCKET``, ``OCR_DDB_TABLE`` and the
last part of the queue URLs), so what is deployed is what they look for. Calling it again changes nothing, or what was
changed in the template; the resources themselves stay, with what is in them.

Needs boto3 alone: it runs in the launcher and, for compose, in the emulator's image.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import ParameterTypeDef, StackTypeDef

TEMPLATE = Path(__file__).resolve().parents[1] / "data-plane.yaml"
STACK_NAME = "hybrid-ocr"

_PATIENCE_SECONDS = 60
_POLL_SECONDS = 0.1
#: What a first deployment leaves that failed or was killed; such a stack can only be deleted.
_STILLBORN = {"CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED", "REVIEW_IN_PROGRESS"}
_GOOD = {"CREATE_COMPLETE", "UPDATE_COMPLETE"}


class ProvisioningFailed(Exception):
    """The endpoint does not answer, or refuses the template; the message says what it said."""


def main() -> int:
    """Deploy to the endpoint of this process' own environment."""
    try:
        outputs = deploy(os.environ)
    except ProvisioningFailed as error:
        print(f"provision: {error}", file=sys.stderr)
        return 1
    print(json.dumps(outputs, indent=2))
    return 0


def deploy(environment: Mapping[str, str]) -> dict[str, str]:
    """Create or update the stack, wait for it, and return its outputs.

    Raises:
        ProvisioningFailed: see there.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    try:
        client = connect(environment)
        stack = wait_until_settled(client, deadline)
        if stack and stack["StackStatus"] in _STILLBORN:
            client.delete_stack(StackName=STACK_NAME)
            stack = wait_until_settled(client, deadline)
        create_or_update(client, stack, parameters(environment))
        stack = wait_until_settled(client, deadline)
    except (BotoCoreError, ClientError) as error:
        raise ProvisioningFailed(str(error)) from error
    if stack is None or stack["StackStatus"] not in _GOOD:
        raise ProvisioningFailed(explain(client, stack))
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def connect(environment: Mapping[str, str]) -> CloudFormationClient:
    """A client for the endpoint, region and keys of a given environment, which need not be this process' own."""
    session = boto3.session.Session(
        region_name=environment.get("AWS_REGION"),
        aws_access_key_id=environment.get("AWS_ACCESS_KEY_ID"),
        aws_secret_access_key=environment.get("AWS_SECRET_ACCESS_KEY"),
        aws_session_token=environment.get("AWS_SESSION_TOKEN"),
    )
    return session.client(
        "cloudformation",
        endpoint_url=environment.get("AWS_ENDPOINT_URL") or None,
        config=Config(connect_timeout=2, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 2}),
    )


def parameters(environment: Mapping[str, str]) -> list[ParameterTypeDef]:
    """The template's parameters, as far as the environment names the resources; the template has the other values."""
    names = {
        "BucketName": environment.get("OCR_S3_BUCKET", ""),
        "TableName": environment.get("OCR_DDB_TABLE", ""),
        "QueueName": environment.get("OCR_SQS_URL", "").rpartition("/")[2],
        "HighQueueName": environment.get("OCR_SQS_URL_HIGH", "").rpartition("/")[2],
        "LowQueueName": environment.get("OCR_SQS_URL_LOW", "").rpartition("/")[2],
        "DeadLetterQueueName": environment.get("OCR_SQS_DLQ_URL", "").rpartition("/")[2],
    }
    return [{"ParameterKey": key, "ParameterValue": name} for key, name in names.items() if name]


def create_or_update(client: CloudFormationClient, stack: StackTypeDef | None, named: list[ParameterTypeDef]) -> None:
    """Start a deployment, unless the stack is already what the template says."""
    template = TEMPLATE.read_text(encoding="utf-8")
    if stack is None:
        client.create_stack(StackName=STACK_NAME, TemplateBody=template, Parameters=named)
        return
    try:
        client.update_stack(StackName=STACK_NAME, TemplateBody=template, Parameters=named)
    except ClientError as error:
        if "No updates are to be performed" not in str(error):
            raise


def wait_until_settled(client: CloudFormationClient, deadline: float) -> StackTypeDef | None:
    """The stack once nothing is in progress, None when there is none; waits for the endpoint itself, too."""
    while True:
        try:
            stack = find(client)
            if stack is None or not stack["StackStatus"].endswith("_IN_PROGRESS"):
                return stack
            waiting_for = f"the stack is still {stack['StackStatus']}"
        except BotoCoreError as error:
            waiting_for = str(error)
        if time.monotonic() > deadline:
            raise ProvisioningFailed(f"gave up after {_PATIENCE_SECONDS} s: {waiting_for}")
        time.sleep(_POLL_SECONDS)


def find(client: CloudFormationClient) -> StackTypeDef | None:
    """The stack, or None."""
    try:
        (stack,) = client.describe_stacks(StackName=STACK_NAME)["Stacks"]
    except ClientError as error:
        if "does not exist" in str(error):
            return None
        raise
    return None if stack["StackStatus"] == "DELETE_COMPLETE" else stack


def explain(client: CloudFormationClient, stack: StackTypeDef | None) -> str:
    """Why a deployment failed: the first resource that did."""
    events = client.describe_stack_events(StackName=STACK_NAME)["StackEvents"] if stack else []
    reasons = [
        f"{event.get('LogicalResourceId')}: {event.get('ResourceStatusReason')}"
        for event in reversed(events)
        if event.get("ResourceStatus", "").endswith("_FAILED")
    ]
    status = stack["StackStatus"] if stack else "gone"
    return f"the stack {STACK_NAME} is {status}; {reasons[0] if reasons else 'no reason is given'}"


if __name__ == "__main__":
    sys.exit(main())

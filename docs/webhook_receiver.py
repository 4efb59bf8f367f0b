"""A receiver of webhooks: pip install flask standardwebhooks; then flask --app webhook_receiver run."""

import os

from flask import Flask, request
from standardwebhooks import Webhook, WebhookVerificationError

app = Flask(__name__)
webhook = Webhook(os.environ["OCR_WEBHOOK_SECRET"])
seen: set[str] = set()  # in a real one: in the database, with what is done about the event


@app.post("/ocr")
def receive() -> tuple[str, int]:
    """Believe nothing that is not signed, and answer at once: what takes longer than 25 s counts as failed."""
    try:
        event = webhook.verify(request.get_data(), dict(request.headers))
    except (WebhookVerificationError, ValueError):  # a signature that is no base64 is a ValueError
        return "", 401
    event_id = request.headers["webhook-id"]
    if event_id not in seen:  # an event is told at least once
        seen.add(event_id)
        print(event["type"], event["data"]["job_id"], event["data"]["client_reference"])  # now ask for the job
    return "", 204

"""Many clients that wait, as a program of its own, so that they do not disturb the one that is measured.

    python -m bench.waiters URL KEY   with job ids on the standard input, a client for each

Each asks with ``wait=25`` and the version that it has, and again when it is answered, until the standard input ends.
Prints a line when all have begun, and at the end the answers that they got, by their status, as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import Counter
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

_WAIT_SECONDS = 25
#: So that they do not all come back at the same moment for ever.
_START_SECONDS = 20


def main() -> None:
    """Wait until told to end."""
    threading.stack_size(1 << 20)
    url, key = sys.argv[1:]
    job_ids = sys.stdin.readline().split()
    answers: Counter[str] = Counter()
    for job_id in job_ids:
        threading.Thread(target=_wait, args=(url, key, job_id, answers), daemon=True).start()
        time.sleep(_START_SECONDS / len(job_ids))
    print("waiting", flush=True)
    sys.stdin.read()
    print(json.dumps(answers), flush=True)
    os._exit(0)


def _wait(url: str, key: str, job_id: str, answers: Counter[str]) -> None:
    host = urlsplit(url).netloc
    connection, headers = HTTPConnection(host, timeout=60), {"x-api-key": key}
    while True:
        try:
            connection.request("GET", f"/jobs/{job_id}?wait={_WAIT_SECONDS}", headers=headers)
            response = connection.getresponse()
            response.read()
        except (OSError, HTTPException) as error:
            answers[type(error).__name__] += 1
            connection = HTTPConnection(host, timeout=60)
            time.sleep(1)
            continue
        answers[str(response.status)] += 1
        headers["If-None-Match"] = response.headers["ETag"]


if __name__ == "__main__":
    main()

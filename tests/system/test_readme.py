"""What README.md and docs/api.md tell a user to type, typed as it stands there, against a real stack."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import pytest

from tests.conftest import ROOT
from tests.make_documents import GENERATED
from tests.system.stack import KEY, Stack, _free_port

_PATIENCE_SECONDS = 150
_END = "--- end of the answer"


class Terminal:
    """A shell in the checkout, as a reader has it open. What it is given differs from the text in places only."""

    def __init__(self, instead: Mapping[str, str]) -> None:
        self._instead = instead
        self._shell = subprocess.Popen(
            ["bash"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, start_new_session=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._shell:
            self._kill()

    def type(self, lines: str) -> str:
        """Returns what they print; they must succeed."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(f"{self._as_typed(lines)}\nprintf '\\n%s %s\\n' '{_END}' $?\n")
        self._shell.stdin.flush()
        watchdog = threading.Timer(_PATIENCE_SECONDS, self._kill)
        watchdog.start()
        printed = ""
        for line in self._shell.stdout:
            if line.startswith(_END):
                watchdog.cancel()
                assert line.split()[-1] == "0", f"{lines}\n{printed}{line}"
                return printed.removesuffix("\n")
            printed += line
        pytest.fail(f"no end of:\n{lines}\n{printed}")

    def _as_typed(self, lines: str) -> str:
        return re.sub("|".join(map(re.escape, self._instead)), lambda found: self._instead[found[0]], lines)

    def _kill(self) -> None:
        if self._shell.poll() is None:
            os.killpg(self._shell.pid, signal.SIGKILL)


def _section(file: str, first: str, last: str) -> str:
    return (ROOT / file).read_text().partition(f"\n## {first}\n")[2].partition(f"\n## {last}\n")[0]


def _blocks(text: str) -> list[tuple[str, str]]:
    """Language and lines of each block that is to be typed, in order."""
    return re.findall(r"^```(sh|console)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def _dialogue(block: str) -> list[tuple[str, str]]:
    """Of a console: each command, and what the text says that it answers."""
    assert block.startswith("$ ")
    return [(command, answer) for command, _, answer in (part.partition("\n") for part in block[2:].split("\n$ "))]


def _is_as_shown(shown: str, printed: str) -> bool:
    """Of JSON all members that are shown are there, and the status; of text all lines that are not cut short."""
    if not shown.startswith("{"):
        return all(line in printed for line in shown.splitlines() if "…" not in line)
    status = re.search(r'^\{"(?:job|batch)_id":"[^"]*"(,"status":"[A-Z]+")', shown)
    members = set(re.findall(r'"\w+":', shown))
    return members <= set(re.findall(r'"\w+":', printed)) and (status is None or status[1] in printed)


def _follow(terminal: Terminal, stack: Stack, text: str) -> list[str]:
    """Type what a text has, in order. Returns what was printed, at last; what needs a while is typed again."""
    printed = [""]

    def answer(command: str, shown: str) -> bool:
        printed.append(terminal.type(command))
        return _is_as_shown(shown, printed[-1])

    for language, block in _blocks(text):
        if language == "sh":
            printed.append(terminal.type(block))
            continue
        for command, shown in _dialogue(block):
            mine = _with_my_id(command, printed[-1])
            stack.wait_until(lambda mine=mine, shown=shown: answer(mine, shown), f"as shown: {mine}", seconds=60)
    return printed


def _with_my_id(command: str, printed: str) -> str:
    """`id=…    # put yours`: that of the answer before."""
    if "# put yours" not in command:
        return command
    found = re.match(r'\{"(?:job|batch)_id":"(\w{32})"', printed)
    assert found is not None, printed
    return re.sub(r"\b[0-9a-f]{32}\b", found[1], command)


def test_whoever_types_what_the_documentation_shows_gets_what_it_shows(tmp_path: Path) -> None:
    first, _, told = _section("README.md", "Use it", "The calls").partition("**To be told**")
    ((_, block),) = _blocks(told)
    secret, service, receiver, client = block.split("\n\n")
    port = _free_port()
    instead = {
        ".local": f"{tmp_path}/local",
        "/tmp/": f"{tmp_path}/",
        ".venv/bin/": f"{Path(sys.executable).parent}/",
        "9000": str(port),
    }
    with Terminal(instead) as terminal:
        terminal.type(secret)
        # What is set there; the stack is run by Stack.
        lines = terminal.type(service.replace("make run", "env | grep ^OCR_WEBHOOK_")).splitlines()
    settings = dict(line.split("=", maxsplit=1) for line in lines)
    assert settings.keys() == {"OCR_WEBHOOK_SECRET", "OCR_WEBHOOK_ALLOW_PRIVATE"}

    with Stack(tmp_path / "data", OCR_DEDUPLICATE="1", **settings) as stack:
        instead |= {"http://127.0.0.1:8000": stack.url, "changeme": KEY}
        stack.finish(stack.submit(GENERATED["truncated.pdf"]()))  # for the list of those that failed
        with Terminal(instead) as terminal:
            _follow(terminal, stack, first)
            assert terminal.type("echo $state").strip() == "DONE"
            printed = _follow(terminal, stack, (ROOT / "docs" / "api.md").read_text())
            assert [text[:13] for text in printed if text.startswith("201")] == ['201\n{"job_id"']
        with Terminal(instead) as second, Terminal(instead) as third:
            (log := tmp_path / "receiver.log").touch()
            second.type("export PYTHONUNBUFFERED=1")
            second.type(f"{receiver} > /tmp/receiver.log 2>&1 &")
            stack.wait_until(lambda: "Running on" in log.read_text(), "the receiver")
            job_id = json.loads(third.type(client))["job_id"]
            stack.wait_until(lambda: f"job.done {job_id} order 7\n" in log.read_text(), "the webhook")

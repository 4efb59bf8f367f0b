"""``make run``: the whole service on this machine, until Ctrl-C.

Emulator, then its resources, then API and workers; a line to copy when ``/ready`` says yes. What dies is started
again. Stopping goes the other way round: workers first, so that they can still give their jobs back, then the API,
and the emulator last. A second Ctrl-C does not wait for the workers.

State is on disk under ``OCR_DATA_DIR``: after any kind of death the next ``make run`` goes on where this one was.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from types import FrameType

from hybrid_ocr_core.errors import SettingsError
from infra.local.claims import Taken, claim_directory, claim_port
from infra.local.environment import LauncherSettings
from infra.local.stack import CannotStart, Stack, StopRequests


def main() -> int:
    """Run until told to stop. Exit code 0 then, 1 if the stack cannot start, 2 for wrong settings."""
    stop = StopRequests()
    count_signals(stop)
    try:
        settings = LauncherSettings.from_env(os.environ)
    except SettingsError as error:
        say("\n".join(error.problems))
        return 2
    try:
        run(settings, stop)
    except (CannotStart, Taken) as error:
        say(str(error))
        return 1
    return 0


def run(settings: LauncherSettings, stop: StopRequests) -> None:
    """Claim what must be this stack's alone, start it, keep it up, and stop it whatever happens.

    Raises:
        Taken: another one has the data or a port.
        CannotStart: a part of it fails again and again.
    """
    with contextlib.ExitStack() as held:
        held.enter_context(claim_directory(settings.data_dir, settings.url))
        stack = Stack(
            settings=settings,
            stop=stop,
            say=say,
            api_socket=held.enter_context(claim_port("OCR_PORT", settings.port)),
            emulator_socket=held.enter_context(claim_port("OCR_EMULATOR_PORT", settings.emulator_port)),
        )
        try:
            stack.start()
            stack.serve()
        finally:
            stack.shut_down()


def count_signals(stop: StopRequests) -> None:
    """Have SIGINT, SIGTERM and SIGHUP counted instead of ending this process."""

    def count(_number: int, _frame: FrameType | None) -> None:
        stop.count += 1

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, count)


def say(text: str) -> None:
    """Tell whoever looks on; nobody may, and that is no reason to stop."""
    with contextlib.suppress(OSError):
        print(f"hybrid-ocr: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

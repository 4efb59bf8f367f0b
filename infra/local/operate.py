"""``make worker ARGS="dlq list"``, ``make keys ARGS="list"``: what an operator does, on the stack that ``make run`` has
running.
"""

from __future__ import annotations

import os
import sys

from hybrid_ocr_core.errors import SettingsError
from infra.local import environment, provision
from infra.local.environment import ROOT, LauncherSettings

_PROGRAMS = {
    "worker": [str(ROOT / "hybrid-ocr-worker" / "aws_worker.py")],
    "keys": [str(ROOT / "hybrid-ocr-api" / "app.py"), "keys"],
}


def main() -> int:  # noqa: RET503 - the last line does not come back
    """Become the program, with the environment that the launcher gives its own. Exit code 1 without a stack, 2 for
    wrong settings.
    """
    name, *arguments = sys.argv[1:]
    try:
        settings = LauncherSettings.from_env(os.environ)
        outputs = provision.deploy(environment.for_children(settings))
    except SettingsError as error:
        print("\n".join(error.problems), file=sys.stderr)
        return 2
    except provision.ProvisioningFailed as error:
        print(f"{name}: nothing answers at {settings.emulator_url}; is `make run` running? ({error})", file=sys.stderr)
        return 1
    command = [sys.executable, *_PROGRAMS[name], *arguments]
    os.execve(sys.executable, command, environment.for_services(settings, outputs))  # noqa: S606


if __name__ == "__main__":
    sys.exit(main())

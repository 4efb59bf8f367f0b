"""``make worker ARGS="dlq list"``: a sub-command of ``aws_worker.py`` on the stack that ``make run`` has running."""

from __future__ import annotations

import os
import sys

from hybrid_ocr_core.errors import SettingsError
from infra.local import environment, provision
from infra.local.environment import ROOT, LauncherSettings


def main() -> int:  # noqa: RET503 - the last line does not come back
    """Become the worker, with the environment that the launcher gives its own. Exit code 1 without a stack, 2 for
    wrong settings.
    """
    try:
        settings = LauncherSettings.from_env(os.environ)
        outputs = provision.deploy(environment.for_children(settings))
    except SettingsError as error:
        print("\n".join(error.problems), file=sys.stderr)
        return 2
    except provision.ProvisioningFailed as error:
        print(f"worker: nothing answers at {settings.emulator_url}; is `make run` running? ({error})", file=sys.stderr)
        return 1
    script = ROOT / "hybrid-ocr-worker" / "aws_worker.py"
    os.execve(sys.executable, [sys.executable, str(script), *sys.argv[1:]], environment.for_services(settings, outputs))  # noqa: S606


if __name__ == "__main__":
    sys.exit(main())

"""`make run` with a bad network: API and workers reach the emulator through the proxy at BEHIND_PROXY_URL."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from infra.local import environment, run
from infra.local.environment import LauncherSettings

_straight = environment.for_services


def _through_the_proxy(settings: LauncherSettings, outputs: Mapping[str, str]) -> dict[str, str]:
    found = _straight(settings, outputs)
    return {name: value.replace(settings.emulator_url, os.environ["BEHIND_PROXY_URL"]) for name, value in found.items()}


environment.for_services = _through_the_proxy

if __name__ == "__main__":
    sys.exit(run.main())

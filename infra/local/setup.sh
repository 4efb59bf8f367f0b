#!/bin/sh
# Everything that `make run` and `make test` need, from nothing. A call that finds nothing to do takes a moment.
set -eu
cd "$(dirname "$0")/../.."

for python in python3.11 python3 python3.12 python3.13 python3.14; do
  # Called, not looked up: a version manager's shim may stand there without any Python behind it.
  if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    "$python" -m infra.local.virtualenvs
    exec .venv/bin/python -m infra.local.packages
  fi
done
echo "setup: Python 3.11 or newer is needed, and none was found in PATH." >&2
echo "       Debian 12, Ubuntu 23.04 and newer: sudo apt-get install python3-venv. macOS: brew install python@3.11." >&2
exit 1

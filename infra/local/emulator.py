"""MiniStack (S3, DynamoDB and SQS in one process) as this project needs it: on loopback, with its data on disk.

Stock MiniStack listens on every interface and writes its state only when it is stopped in peace. Here:

* It binds 127.0.0.1 unless ``--host`` says otherwise (the container does), and opens no other port.
* Whenever a request changed something, a snapshot of all services follows, two seconds later at the latest and much
  sooner while it is cheap. ``kill -9`` loses no more than that.
* A snapshot is taken between two requests, written to a directory of its own and put in place by a single rename:
  the table and the queues on disk are always those of one instant. It survives the process, not a power cut: there
  is no fsync. S3's objects are files of their own, written at once, and may be newer than the table.

Runs in the emulator's own virtual environment and imports nothing of the project. ``ministack`` is pinned exactly,
because names private to it are used here.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_log = logging.getLogger("emulator")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
State = Mapping[str, object]

#: A change is on disk after this long at the latest.
_SLOWEST_SECONDS = 2.0
_FASTEST_SECONDS = 0.1
#: A snapshot stops the emulator while it is taken. Small state is saved often, large state seldom: at most one part in
#: this many of the time goes into it, until the limit above wins.
_REST = 20
_READ_METHODS = {"GET", "HEAD"}
#: DynamoDB and SQS are asked by POST; their actions that only read begin with one of these.
_READ_ACTIONS = (b"BatchGet", b"Describe", b"Get", b"List", b"Query", b"Scan")


def main() -> None:
    """Parse, configure, serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data-dir", type=Path, required=True, help="where the state is kept")
    parser.add_argument("--host", default="127.0.0.1", help="interface to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=4566, help="default: %(default)s")
    parser.add_argument("--socket", type=int, metavar="FD", help="an inherited listening socket, instead of --host")
    parser.add_argument("--public-host", help="the host in queue URLs (default: --host)")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    _log.setLevel(logging.INFO)
    snapshots = Snapshots(arguments.data_dir / "state")
    configure(
        snapshots.current,
        objects=arguments.data_dir / "s3",
        port=arguments.port,
        public_host=arguments.public_host or arguments.host,
    )
    bind = f"{arguments.host}:{arguments.port}" if arguments.socket is None else f"fd://{arguments.socket}"
    asyncio.run(serve(snapshots, bind))


def configure(state: Path, *, objects: Path, port: int, public_host: str) -> None:
    """Set what MiniStack reads from its environment, when it is imported."""
    objects.mkdir(parents=True, exist_ok=True)
    os.environ.update(
        PERSIST_STATE="1",
        STATE_DIR=str(state),
        S3_PERSIST="1",
        S3_DATA_DIR=str(objects),
        GATEWAY_PORT=str(port),
        MINISTACK_HOST=public_host,
        # It would listen on 0.0.0.0:8883, start an SFTP server, and remove Docker containers that it takes for its own.
        IOT_MTLS_ENABLED="0",
        SFTP_ENABLED="0",
        DOCKER_HOST="unix:///nonexistent",
        LOG_LEVEL="WARNING",
    )


async def serve(snapshots: Snapshots, bind: str) -> None:
    """Serve MiniStack's ASGI app, with the autosave beside it."""
    import ministack.app as ministack  # noqa: PLC0415 - it reads the environment that configure() prepared
    from hypercorn.asyncio import serve as serve_asgi  # noqa: PLC0415 - only this process has it
    from hypercorn.config import Config  # noqa: PLC0415

    def save(_services: object = None) -> None:
        snapshots.save(ministack._build_persistence_save_dict())  # noqa: SLF001 - hence the exact pin

    # What MiniStack calls at its own shutdown, after the last request.
    ministack.save_all = save
    config = Config()
    config.bind = [bind]
    config.keep_alive_timeout = 75
    config.graceful_timeout = 2
    config.loglevel = "WARNING"
    asyncio.get_running_loop().set_exception_handler(report_unless_cancelled)
    autosave = Autosave(save)
    saving = asyncio.create_task(autosave.run())
    _log.info("Listening on %s.", bind)
    try:
        await serve_asgi(autosave.watch(ministack.app), config)
    finally:
        saving.cancel()


def report_unless_cancelled(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A stop cancels the connections that are still open; that needs no traceback for each."""
    if not isinstance(context.get("exception"), asyncio.CancelledError):
        loop.default_exception_handler(context)


class Autosave:
    """Saves when something changed, and then rests for a while."""

    def __init__(self, save: Callable[[], None]) -> None:
        self._save = save
        self._is_changed = asyncio.Event()

    def watch(self, app: App) -> App:
        """Wrap an ASGI app, so that each request that may change something is noticed."""

        async def watched(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                await app(scope, receive, send)
            finally:
                if scope["type"] == "http" and may_change_something(scope):
                    self._is_changed.set()

        return watched

    async def run(self) -> None:
        """Save for ever. Saving runs on the event loop, so no request is half done while it does."""
        rest = _FASTEST_SECONDS
        while True:
            await self._is_changed.wait()
            await asyncio.sleep(rest)
            self._is_changed.clear()
            started = time.perf_counter()
            try:
                self._save()
            except Exception:  # noqa: BLE001 - whatever it is (a full disk, say), serving goes on, and the next try comes
                _log.exception("Could not save; the snapshot on disk stays the last good one.")
                self._is_changed.set()
            rest = min(_SLOWEST_SECONDS, max(_FASTEST_SECONDS, _REST * (time.perf_counter() - started)))


def may_change_something(request: Scope) -> bool:
    """Whether a request is more than a question; in doubt it is."""
    target = dict(request["headers"]).get(b"x-amz-target", b"")
    return request["method"] not in _READ_METHODS and not target.rpartition(b".")[2].startswith(_READ_ACTIONS)


@dataclass
class Snapshots:
    """Numbered directories of one JSON file a service, and a symbolic link ``current`` to the newest whole one."""

    directory: Path

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    @property
    def current(self) -> Path:
        """Where MiniStack loads its state from."""
        return self.directory / "current"

    def save(self, services: Mapping[str, Callable[[], State | None]]) -> None:
        """Write the state of all services, then put it in place; on any error the former snapshot stays."""
        from ministack.core import persistence  # noqa: PLC0415 - reads the environment when it is imported

        target = self._next()
        target.mkdir(mode=0o700)
        for name, get_state in services.items():
            state = get_state()
            if state is not None:
                document = {"__ministack_format__": persistence._state_format_version(name), "payload": state}  # noqa: SLF001
                text = json.dumps(document, default=persistence._json_default)  # noqa: SLF001
                (target / f"{name}.json").write_text(text, encoding="utf-8")
        self._keep_what_was_not_loaded(target)
        self._switch_to(target)

    def _next(self) -> Path:
        """A new directory; what was half written or half removed when the emulator was killed goes."""
        current = self.current.readlink().name if self.current.is_symlink() else "00000000"
        for left in self.directory.glob("[0-9]*"):
            if left.name != current:
                shutil.rmtree(left, ignore_errors=True)
        return self.directory / f"{int(current) + 1:08}"

    def _keep_what_was_not_loaded(self, target: Path) -> None:
        """A service that nobody has called since the start has nothing to save, and something to keep."""
        for old in self.current.glob("*.json"):
            if not (target / old.name).exists():
                os.link(old, target / old.name)

    def _switch_to(self, target: Path) -> None:
        former = self.current.resolve() if self.current.is_symlink() else None
        link = self.directory / "next"
        link.unlink(missing_ok=True)
        link.symlink_to(target.name)
        link.replace(self.current)
        if former is not None:
            shutil.rmtree(former, ignore_errors=True)


if __name__ == "__main__":
    main()

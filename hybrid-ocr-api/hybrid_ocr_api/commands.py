"""The command line of the API: serve, and what an operator does with keys. Settings come from the environment."""

from __future__ import annotations

import argparse
import datetime as dt
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from hybrid_ocr_api.access import Scope
from hybrid_ocr_api.api_keys import ApiKey
from hybrid_ocr_api.key_office import KeyOffice
from hybrid_ocr_api.key_store import KeyEnds, KeyNotFound, KeyStore
from hybrid_ocr_core import aws
from hybrid_ocr_core.errors import SettingsError, Unavailable
from hybrid_ocr_core.settings import AwsSettings, Reader
from hybrid_ocr_core.tenant import tenant

_ROW = "{:<12}  {:<16}  {:<24}  {:<20}  {:<20}  {:<20}  {}"


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a sub-command; returns the exit code."""
    parsed = _parser().parse_args(arguments)
    if parsed.command == "serve":
        _serve(parsed.bind)
    try:
        for line in _keys(_office(environment), parsed):
            print(line, flush=True)
    except SettingsError as error:
        print("\n".join(f"app.py: {problem}" for problem in error.problems), file=sys.stderr)
        return 2
    except (KeyNotFound, KeyEnds) as error:
        print(f"app.py: {error}", file=sys.stderr)
        return 1
    except Unavailable as error:
        print(f"app.py: {error}; try again later", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="app.py",
        description="The API of hybrid-ocr. Settings come from the environment and .env; see .env.example.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="answer requests until SIGTERM")
    serve.add_argument("--bind", default="", metavar="HOST:PORT", help="default: OCR_PORT on 127.0.0.1")
    actions = commands.add_parser("keys", help="the API keys").add_subparsers(dest="action", required=True)
    create = actions.add_parser("create", help="make a key; it is shown this once, on stdout")
    create.add_argument("--tenant", required=True, type=tenant)
    create.add_argument(
        "--scopes", required=True, type=_scopes, help=f"of {', '.join(Scope)}, with commas; admin includes the others"
    )
    create.add_argument("--label", default="", help="what it is for")
    listing = actions.add_parser("list", help="show them, and when they were used last; not the keys themselves")
    listing.add_argument("--tenant", type=tenant)
    revoke = actions.add_parser("revoke", help="let a key end now; the API may believe it for OCR_KEY_CACHE_SECONDS")
    revoke.add_argument("key_id", metavar="KEY_ID")
    rotate = actions.add_parser("rotate", help="make another key like this one, which ends some days later")
    rotate.add_argument("key_id", metavar="KEY_ID")
    rotate.add_argument("--days", type=_days, default=dt.timedelta(days=7), help="how long both are good (7)")
    return parser


def _serve(bind: str) -> NoReturn:
    """Become gunicorn."""
    where = ("--bind", bind) if bind else ()
    os.chdir(Path(sys.argv[0]).resolve().parent)
    command = [sys.executable, "-m", "gunicorn", "--config", "gunicorn_config.py", *where, "app:app"]
    os.execv(sys.executable, command)  # noqa: S606 - no shell is wanted


def _office(environment: Mapping[str, str]) -> KeyOffice:
    reader = Reader(environment)
    settings = AwsSettings.read(reader)
    reader.finish()
    return KeyOffice(store=KeyStore(aws.connect(settings).dynamodb, settings.table))


def _keys(office: KeyOffice, parsed: argparse.Namespace) -> Iterator[str]:
    """What goes to stdout: the key, or the list. The rest is for people, on stderr."""
    if parsed.action == "create":
        text, key = office.create(tenant=parsed.tenant, scopes=parsed.scopes, label=parsed.label)
        _tell(f"key {key.key_id} of tenant {key.tenant}; it is shown this once:")
        yield text
    elif parsed.action == "rotate":
        text, key, old = office.rotate(parsed.key_id, overlap=parsed.days)
        _tell(
            f"key {key.key_id} of tenant {key.tenant}; {old.key_id} ends {_time(old.ends_at)}. It is shown this once:"
        )
        yield text
    elif parsed.action == "revoke":
        key = office.revoke(parsed.key_id)
        _tell(f"key {key.key_id} of tenant {key.tenant} ended {_time(key.ends_at)}")
    else:
        yield _ROW.format("key", "tenant", "scopes", "created", "last used", "ends", "label")
        for key in office.list(parsed.tenant):
            yield _row(key)


def _row(key: ApiKey) -> str:
    scopes = ",".join(scope for scope in Scope if scope in key.scopes)
    times = (_time(key.created_at), _time(key.last_used_at), _time(key.ends_at))
    return _ROW.format(key.key_id, key.tenant, scopes, *times, key.label).rstrip()


def _time(time: dt.datetime | None) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%SZ}" if time else "-"


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _scopes(text: str) -> frozenset[Scope]:
    try:
        return frozenset(Scope(word.strip()) for word in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"known are: {', '.join(Scope)}") from error


def _days(text: str) -> dt.timedelta:
    if not (text.isascii() and text.isdecimal() and int(text) <= 365):
        raise argparse.ArgumentTypeError("a whole number of days, at most 365")
    return dt.timedelta(days=int(text))

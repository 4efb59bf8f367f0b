"""ZIP archives in a batch: their members are its files, and no archive takes more than its limits."""

from __future__ import annotations

import io
import random
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from hybrid_ocr_api import archives, unzip
from hybrid_ocr_api.spool import Spool
from hybrid_ocr_api.unzip import Limits, Window
from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.errors import FileTooLarge, Unavailable, UnsupportedMediaType
from tests.archives import archive, damaged, encrypted, link, lying, nested, overlapping, quoting
from tests.observed import stored

_PDF = b"%PDF-1.7 not parsed here"
_MEGABYTE = 1 << 20


def _post(client: FlaskClient, *files: bytes) -> TestResponse:
    parts = [(io.BytesIO(content), f"{number}.zip") for number, content in enumerate(files)]
    return client.post("/batches", data={"file": parts})


def _shown(response: TestResponse) -> list[tuple[str, str | None]]:
    """File name and error code."""
    assert response.status_code == 202, response.text
    return [(file["filename"], file["error"] and file["error"]["code"]) for file in response.get_json()["files"]]


def _refused(response: TestResponse) -> tuple[int, str, str]:
    body = response.get_json()
    return response.status_code, body["code"], body["detail"]


def test_the_members_of_an_archive_are_the_files_of_the_batch(client: FlaskClient, clients: AwsClients) -> None:
    noise = b"%PDF-" + random.Random(1).randbytes(700_000)
    files = {"a.pdf": noise, "2026/": b"", "2026/a.pdf": _PDF, "2026/notes.txt": b"plain", "empty.pdf": b""}
    clutter: dict[str, bytes] = {"__MACOSX/._a.pdf": b"x", "2026/.DS_Store": b"x"}

    response = _post(client, archive({**files, **clutter}), archive(files, zipfile.ZIP_STORED), _PDF)

    members = [
        ("a.pdf", None),
        ("2026/a.pdf", None),
        ("2026/notes.txt", "unsupported_media_type"),
        ("empty.pdf", "file_empty"),
    ]
    assert _shown(response) == [*members, *members, ("2.zip", None)]
    assert sorted(stored(clients).values()) == sorted([noise, noise, _PDF, _PDF, _PDF])


def test_the_name_of_a_member_is_shown_and_leads_nowhere(client: FlaskClient) -> None:
    names = ["../../etc/passwd.pdf", "/root/a.pdf", "a\\..\\b.pdf", "line\nbreak.pdf", "\u202egpj.pdf", "ä/ß.pdf"]

    response = _post(client, archive(dict.fromkeys(names, _PDF)))

    assert [name for name, _ in _shown(response)] == [
        "etc/passwd.pdf",
        "root/a.pdf",
        "a/b.pdf",
        "linebreak.pdf",
        "gpj.pdf",
        "ä/ß.pdf",
    ]


def test_an_archive_within_an_archive_is_not_opened(client: FlaskClient, clients: AwsClients) -> None:
    """As 42.zip, five deep; also one that stores a PDF, whose header then shows."""
    inner = archive({"a.pdf": _PDF}, zipfile.ZIP_STORED)

    response = _post(client, nested(5, 4, bytes(_MEGABYTE)), archive({"inner.zip": inner, "b.pdf": _PDF}))

    assert _shown(response) == [
        *((f"lib {number}.zip", "unsupported_media_type") for number in range(4)),
        ("inner.zip", "unsupported_media_type"),
        ("b.pdf", None),
    ]
    assert sorted(stored(clients).values()) == [_PDF]


def test_a_member_that_cannot_be_taken_does_not_stop_the_others(client: FlaskClient) -> None:
    linked = archive({"a.pdf": _PDF, link("link.pdf"): b"/etc/passwd"})
    packed = archive({"a.pdf": _PDF}, zipfile.ZIP_LZMA)

    response = _post(client, linked, encrypted(_PDF), packed, damaged(_PDF), lying(_PDF, claimed=3))

    assert _shown(response) == [
        ("a.pdf", None),
        ("link.pdf", "unsupported_media_type"),
        ("secret.pdf", "encrypted_document"),
        ("a.pdf", "unsupported_media_type"),
        ("good.pdf", None),
        ("bad.pdf", "corrupt_document"),
        ("lie.pdf", "corrupt_document"),
    ]


def test_a_member_that_is_too_large_is_refused_alone_and_leaves_no_bytes(
    client: FlaskClient, clients: AwsClients
) -> None:
    noise = b"%PDF-" + random.Random(1).randbytes(_MEGABYTE)

    response = _post(client, archive({"a.pdf": _PDF, "large.pdf": noise, "b.pdf": _PDF + b"!"}))

    assert _shown(response) == [("a.pdf", None), ("large.pdf", "file_too_large"), ("b.pdf", None)]
    assert sorted(stored(clients).values()) == [_PDF, _PDF + b"!"]


def test_an_archive_that_cannot_be_read_refuses_the_batch_and_is_named(
    client: FlaskClient, clients: AwsClients
) -> None:
    whole = archive({"a.pdf": _PDF})
    for content in (b"PK\x03\x04", b"PK\x03\x04" + bytes(1000), whole[:-30], whole[:40]):
        status, code, detail = _refused(_post(client, _PDF, content))

        assert (status, code) == (415, "unsupported_media_type")
        assert "1.zip" in detail
    assert stored(clients) == {}


def test_an_archive_without_files_is_no_batch(client: FlaskClient) -> None:
    empty = [archive({}), archive({"directory/": b""}), archive({"__MACOSX/a": b"x"})]

    assert [_refused(_post(client, content))[:2] for content in empty] == [(400, "file_missing")] * 3


def test_archives_may_unpack_to_the_limit_of_a_batch_and_no_further(client: FlaskClient, clients: AwsClients) -> None:
    """Three megabytes here, however many archives they are spread over, the refused members included."""
    noise = random.Random(1).randbytes(_MEGABYTE - 5)

    fits = _post(client, archive({f"{number}.pdf": b"%PDF-" + noise for number in range(2)}, zipfile.ZIP_STORED))
    assert _shown(fits) == [("0.pdf", None), ("1.pdf", None)]

    half = archive({f"{number}.txt": bytes(_MEGABYTE) for number in range(2)})
    status, code, detail = _refused(_post(client, half, half))
    assert (status, code) == (413, "file_too_large")
    assert "1.zip" in detail


def test_zip_bombs_of_overlapping_members_end_at_the_limit(client: FlaskClient, clients: AwsClients) -> None:
    """Fifield's two kinds. Each of these is a few kB and unpacks to 20 MB by its headers."""
    for bomb in (overlapping(20, _MEGABYTE), quoting(20, _MEGABYTE - 2000)):
        assert len(bomb) < 10_000

        response = _post(client, bomb)

        # A Python that sees the overlap refuses the members, an older one counts their bytes.
        if response.status_code == 202:
            assert sum(code is not None for _, code in _shown(response)) >= 19
        else:
            assert _refused(response)[:2] == (413, "file_too_large")
    assert stored(clients) == {}


@pytest.fixture
def spool() -> Iterator[Spool]:
    with Spool(most_parts=10) as spool:
        yield spool


def _unpack(spool: Spool, content: bytes, **limits: Any) -> list[archives.Member]:
    usual = {"files": 1000, "file_bytes": 1 << 30, "total_bytes": 1 << 30}
    return archives.Unpacking(spool, Limits(**{**usual, **limits})).unpack("a.zip", _window(spool, content))


def _window(spool: Spool, content: bytes) -> Window:
    """As a part of a form, behind another."""
    spool.new_part().write(b"another part")
    part = spool.new_part()
    part.write(content)
    assert isinstance(part, Window)
    return part


def _bytes(member: archives.Member) -> bytes:
    assert member.stream is not None
    return member.stream.read()


def test_a_member_that_is_nearly_nothing_when_packed_is_refused(spool: Spool) -> None:
    blank = bytes(50 * _MEGABYTE)
    page = b"%PDF-" + bytes(900_000)

    members = _unpack(spool, archive({"bomb.pdf": blank, "page.pdf": page}))

    assert [(member.name, member.code) for member in members] == [("bomb.pdf", "file_too_large"), ("page.pdf", "")]
    assert "200 times" in members[0].message
    assert _bytes(members[1]) == page


def test_too_many_members_are_refused(spool: Spool) -> None:
    many = archive({f"{number}.pdf": b"" for number in range(11)})

    assert len(_unpack(spool, many, files=11)) == 11
    with pytest.raises(FileTooLarge, match="11 files; the limit is 10"):
        _unpack(spool, many, files=10)


def test_a_directory_too_long_for_memory_is_refused(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    end = (1 << 31) - 100
    huge = spool.new_file()
    huge.truncate(end)  # a hole
    huge.seek(0)
    huge.write(b"PK\x03\x04")
    huge.seek(end)
    directory = (end - 4).to_bytes(4, "little")
    huge.write(b"PK\x05\x06" + bytes(4) + b"\xff\xff\xff\xff" + directory + (4).to_bytes(4, "little") + bytes(2))

    with pytest.raises(FileTooLarge, match="directory"):
        archives.Unpacking(spool, Limits(10, 10, 10)).unpack("a.zip", Window(huge.fileno(), 0, end + 22))


def test_zip64_is_read(spool: Spool) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as target, target.open("a.pdf", "w", force_zip64=True) as member:
        member.write(_PDF)

    (found,) = _unpack(spool, out.getvalue())

    assert _bytes(found) == _PDF


def test_names_without_end_do_not_grow_the_answer(spool: Spool) -> None:
    (member,) = _unpack(spool, archive({"n" * 60_000: _PDF}))

    assert len(member.name) == 1000


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_broken_in_an_archive_it_is_answered(spool: Spool, seed: int) -> None:
    rng = random.Random(seed)
    whole = bytearray(archive({f"{number}.pdf": _PDF * 50 for number in range(5)}))
    for _ in range(8):
        whole[rng.randrange(4, len(whole))] = rng.randrange(256)

    try:
        members = _unpack(spool, bytes(whole))
    except (UnsupportedMediaType, FileTooLarge):
        return
    assert all(member.code or member.stream for member in members)


_CHILDREN: dict[str, str] = {
    "hangs": "import time; time.sleep(600)",
    "dies": "import os; os.abort()",
    "says nothing": "",
    "says nonsense": "print('[')",
}


@pytest.mark.parametrize("how", sorted(_CHILDREN))
def test_a_child_that_fails_costs_its_batch_and_nothing_else(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    (tmp_path / "child.py").write_text(_CHILDREN[how])
    with monkeypatch.context() as patch:
        patch.setattr(unzip, "__file__", str(tmp_path / "child.py"))
        patch.setattr(archives, "_SECONDS", 1.0)

        with pytest.raises(UnsupportedMediaType, match="limits"):
            _unpack(spool, archive({"a.pdf": _PDF}))

    (member,) = _unpack(spool, archive({"a.pdf": _PDF}))
    assert _bytes(member) == _PDF


def test_the_child_limits_itself_and_sees_no_secret(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real program, asked what it has become instead of what the archive holds."""
    monkeypatch.setenv("OCR_API_KEY", "secret")
    source = Path(unzip.__file__).read_text()
    told = (
        "raise ArchiveRefused('file_too_large', repr(("
        "[resource.getrlimit(k) for k in (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_FSIZE,"
        " resource.RLIMIT_CORE)], sorted(os.environ), 'boto3' in sys.modules, sorted(os.listdir('/proc/self/fd')))))"
    )
    (tmp_path / "child.py").write_text(
        source.replace("    try:\n        archive = zip", f"    {told}\n    try:\n        archive = zip")
    )
    monkeypatch.setattr(unzip, "__file__", str(tmp_path / "child.py"))

    with pytest.raises(FileTooLarge) as error:
        _unpack(spool, archive({"a.pdf": _PDF}), total_bytes=1000)

    limits, environment, has_packages, descriptors = eval(str(error.value).partition("taken: ")[2])
    assert limits == [(256 << 20,) * 2, (60, 60), (1000 + (256 << 10),) * 2, (0, 0)]
    assert set(environment) <= {"LC_CTYPE"}
    assert not has_packages
    assert len(descriptors) <= 6  # three of its own, archive, target, and the directory that it looks into


def test_a_full_disk_is_an_outage(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    window = _window(spool, archive({"a.pdf": b"%PDF-" + random.Random(1).randbytes(600_000)}))
    monkeypatch.setattr(tempfile, "TemporaryFile", _full)

    with pytest.raises(Unavailable):
        archives.Unpacking(spool, Limits(10, 1 << 30, 1 << 30)).unpack("a.zip", window)
    with Spool(most_parts=1) as full, pytest.raises(Unavailable):
        full.new_part().write(b"x")


def _full(**_: object) -> IO[bytes]:
    return Path("/dev/full").open("r+b", buffering=0)


def test_a_request_leaves_no_file_behind(client: FlaskClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = _descriptors()

    _post(client, archive({"a.pdf": _PDF}), _PDF)
    _post(client, b"PK\x03\x04")

    assert list(tmp_path.iterdir()) == []
    assert len(_descriptors()) <= len(before)


def _descriptors() -> list[str]:
    return [str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink() and path.exists()]

"""The child's limits hold, and a child that breaks costs one document, never the worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hybrid_ocr_core.errors import DocumentRejected, LeaseLost
from hybrid_ocr_worker.sandbox import landlock
from hybrid_ocr_worker.sandbox.warm import WarmSandbox

_HAS_LANDLOCK = landlock.version() > 0
_needs_landlock = pytest.mark.skipif(not _HAS_LANDLOCK, reason="this kernel has no Landlock")
_needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="seccomp is Linux's")
_LIMITS: dict[str, Any] = {"memory_bytes": 2 << 30, "file_bytes": 1 << 20}


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[WarmSandbox]:
    with WarmSandbox(directory=tmp_path / "tmp", memory_bytes=2 << 30, pages=200) as sandbox:
        yield sandbox


def _confined(code: str, scratch: Path = Path("/nowhere"), *, first: str = "") -> str:
    """Run code in a process that is confined as the child is; returns what it prints."""
    confine = f"{first}\nlimits.confine(pathlib.Path({str(scratch)!r}))\n"
    script = (
        "import pathlib\nfrom hybrid_ocr_worker.sandbox import landlock, limits\n" + confine + textwrap.dedent(code)
    )
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False)
    return done.stdout.strip() + done.stderr.strip()


@_needs_linux
@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6", "AF_UNIX"])
def test_a_confined_process_has_no_network(family: str) -> None:
    assert "PermissionError" in _confined(f"import socket; socket.socket(socket.{family})")


@_needs_linux
def test_a_confined_process_gains_no_privileges() -> None:
    assert _confined("import ctypes; print(ctypes.CDLL(None).prctl(39, 0, 0, 0, 0))") == "1"  # PR_GET_NO_NEW_PRIVS


def test_a_confined_process_cannot_allocate_beyond_its_memory() -> None:
    code = "limits.limit_document(memory_bytes=1 << 30, file_bytes=1 << 20); bytearray(2 << 30)"

    assert "MemoryError" in _confined(code)


def test_a_confined_process_cannot_write_a_larger_file(tmp_path: Path) -> None:
    code = f"""
    limits.limit_document(memory_bytes=1 << 30, file_bytes=1 << 16)
    open({str(tmp_path / "f")!r}, "wb").write(bytes(1 << 20))
    """

    assert "File too large" in _confined(code, tmp_path)
    assert (tmp_path / "f").stat().st_size <= 1 << 16


def test_a_confined_process_that_spins_is_ended_by_its_cpu_limit() -> None:
    code = """
    import subprocess, sys
    limits._CPU_MARGIN_SECONDS = 0
    limits.limit_cpu(1)
    try:
        while True: pass
    finally:
        print("never reached")
    """
    assert _confined(code) == ""


def test_every_program_that_a_confined_process_starts_is_confined() -> None:
    code = """
    import subprocess, sys
    limits.limit_document(memory_bytes=1 << 30, file_bytes=1 << 20)
    print(subprocess.run([sys.executable, "-c", "import socket; socket.socket()"], capture_output=True).stderr)
    print(subprocess.run([sys.executable, "-c", "bytearray(2 << 30)"], capture_output=True).stderr)
    """
    output = _confined(code)

    assert "PermissionError" in output or sys.platform != "linux"
    assert "MemoryError" in output


@_needs_linux
@pytest.mark.parametrize("call", ["os.kill(os.getppid(), 0)", "os.kill(-1, 0)", "os.killpg(os.getpgid(0), 0)"])
def test_a_confined_process_sends_no_signals(call: str) -> None:
    assert "PermissionError" in _confined(f"import os; {call}")


@_needs_linux
def test_a_confined_process_sets_no_limits_of_others() -> None:
    code = "import os, resource; resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE)"

    assert "PermissionError" in _confined(code)


@_needs_linux
def test_a_confined_process_that_aborts_dies() -> None:
    code = """
    import os, subprocess, sys
    print(subprocess.run([sys.executable, "-c", "import os; os.abort()"], capture_output=True).returncode < 0)
    """
    assert _confined(code) == "True"


@_needs_landlock
@pytest.mark.parametrize(
    "code",
    [
        "open({secret!r}).read()",
        "open({secret!r}, 'a')",
        "os.listdir({folder!r})",
        "os.unlink({secret!r})",
        "open({folder!r} + '/new', 'w')",
        "os.link({secret!r}, {scratch!r} + '/link')",
        "open(f'/proc/{{os.getppid()}}/environ', 'rb').read()",
        "open(f'/proc/{{os.getppid()}}/mem', 'rb').read()",
        "open('/proc/self/environ', 'rb').read()",
        "open('/etc/passwd').read()",
    ],
)
def test_a_confined_process_reaches_no_file_but_those_of_its_scratch(tmp_path: Path, code: str) -> None:
    secret, scratch = tmp_path / "secret", tmp_path / "scratch"
    secret.write_text("canary")
    scratch.mkdir()

    output = _confined(
        "import os\n" + code.format(secret=str(secret), folder=str(tmp_path), scratch=str(scratch)), scratch
    )

    assert "PermissionError" in output or "Invalid cross-device link" in output
    assert secret.read_text() == "canary"


@_needs_landlock
def test_what_a_confined_process_starts_reaches_no_other_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("canary")
    (tmp_path / "scratch").mkdir()
    code = f"import subprocess; print(subprocess.run(['cat', {str(tmp_path / 'secret')!r}], capture_output=True))"

    output = _confined(code, tmp_path / "scratch")

    assert "Permission denied" in output
    assert "canary" not in output


def test_a_confined_process_works_in_its_scratch(tmp_path: Path) -> None:
    code = f"""
    folder = pathlib.Path({str(tmp_path)!r}) / "pages"
    folder.mkdir()
    (folder / "part").write_text("a page")
    (folder / "part").rename(folder / "page")
    (folder / "copy").symlink_to("page")
    print((folder / "copy").read_text())
    (folder / "copy").unlink()
    """

    assert _confined(code, tmp_path) == "a page"


@_needs_linux
def test_without_landlock_the_other_limits_hold(tmp_path: Path) -> None:
    code = "import socket; print(open('/etc/passwd').read()[:4]); socket.socket()"

    output = _confined(code, tmp_path, first="landlock.version = lambda: 0")

    assert output.startswith("root")
    assert "PermissionError" in output


@_needs_linux
def test_without_landlock_the_worker_hides_its_memory_and_says_what_is_missing() -> None:
    code = "print(limits.shield()); import ctypes; print(ctypes.CDLL(None).prctl(3))"  # PR_GET_DUMPABLE

    missing, dumpable = _confined(code, first="landlock.version = lambda: 0").splitlines()

    assert "Landlock" in missing
    assert dumpable == "0"


@_needs_linux
@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything; without Landlock that cannot be helped")
@pytest.mark.parametrize("file", ["environ", "mem", "maps"])
def test_without_landlock_the_child_cannot_read_the_worker(file: str) -> None:
    child = f"import os; open(f'/proc/{{os.getppid()}}/{file}', 'rb').read(1)"
    code = (
        f"import subprocess, sys; print(subprocess.run([sys.executable, '-c', {child!r}], capture_output=True).stderr)"
    )

    assert "PermissionError" in _confined(code, first="landlock.version = lambda: 0; limits.shield()")


def test_what_isolation_lacks_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("hybrid_ocr_worker.sandbox.limits.shield", lambda: ["Landlock"])

    with WarmSandbox(directory=tmp_path / "tmp", memory_bytes=2 << 30, pages=200):
        pass

    assert "This system lacks Landlock." in caplog.text


def test_the_child_sees_no_secret_of_the_worker(sandbox: WarmSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-secret")
    monkeypatch.setenv("OCR_API_KEY", "canary-key")
    sandbox.call_twice("probe", seconds=60, engine="auto", **_LIMITS)

    assert sandbox._process is not None
    environment = Path(f"/proc/{sandbox._process.pid}/environ")
    if environment.exists():
        assert b"canary" not in environment.read_bytes()
        assert b"OMP_THREAD_LIMIT=1" in environment.read_bytes()


def test_a_child_that_hangs_is_killed_and_tried_once_more(sandbox: WarmSandbox, tmp_path: Path) -> None:
    fifo = tmp_path / "source"
    os.mkfifo(fifo)  # opening it waits for ever
    started = time.monotonic()

    with pytest.raises(DocumentRejected) as rejected:
        sandbox.call_twice("preflight", seconds=0.7, directory=str(tmp_path), max_pages=1, max_pixels=1, **_LIMITS)

    assert rejected.value.document_code == "page_timeout"
    assert 1.4 <= time.monotonic() - started < 10
    assert sandbox.call_twice("probe", seconds=60, engine="auto", **_LIMITS)["tesseract"]


def test_a_child_that_dies_is_replaced(sandbox: WarmSandbox) -> None:
    sandbox.call_twice("probe", seconds=60, engine="auto", **_LIMITS)
    assert sandbox._process is not None
    os.kill(sandbox._process.pid, 9)
    sandbox._process.wait()

    assert sandbox.call_twice("probe", seconds=60, engine="auto", **_LIMITS)["tesseract"]


def test_a_killed_child_leaves_no_temporary_files(sandbox: WarmSandbox, tmp_path: Path) -> None:
    sandbox.call_twice("probe", seconds=60, engine="auto", **_LIMITS)
    (tmp_path / "tmp" / "raster").write_bytes(b"x")

    sandbox.close()

    assert not (tmp_path / "tmp").exists()


def test_an_error_of_ours_in_the_child_tells_no_text_of_the_document(
    sandbox: WarmSandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(DocumentRejected) as rejected:
        sandbox.call_twice(
            "preflight", seconds=20, directory=str(tmp_path / "canary"), max_pages=1, max_pixels=1, **_LIMITS
        )

    assert rejected.value.document_code == "engine_crashed"
    assert "FileNotFoundError" in caplog.text
    assert "canary" not in caplog.text + str(rejected.value)


def test_work_that_is_no_longer_wanted_is_broken_off(sandbox: WarmSandbox, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "source")

    def stop() -> None:
        raise LeaseLost("gone")

    sandbox.still_wanted = stop
    with pytest.raises(LeaseLost):
        sandbox.call_twice("preflight", seconds=30, directory=str(tmp_path), max_pages=1, max_pixels=1, **_LIMITS)

    assert sandbox._process is None


def test_something_is_done_meanwhile_once_even_if_the_child_dies(sandbox: WarmSandbox) -> None:
    sandbox.call_twice("probe", seconds=60, engine="auto", **_LIMITS)
    done: list[int] = []

    def kill() -> None:
        assert sandbox._process is not None
        done.append(sandbox._process.pid)
        os.kill(sandbox._process.pid, signal.SIGKILL)

    found = sandbox.call_twice("probe", seconds=60, engine="auto", meanwhile=kill, **_LIMITS)

    assert found["name"]
    assert len(done) == 1


def test_what_fails_meanwhile_ends_the_call_and_the_child(sandbox: WarmSandbox) -> None:
    def fail() -> None:
        raise ValueError("not the child's")

    with pytest.raises(ValueError, match="not the child's"):
        sandbox.call_twice("probe", seconds=60, engine="auto", meanwhile=fail, **_LIMITS)

    assert sandbox._process is None


def test_a_worn_child_is_replaced(tmp_path: Path) -> None:
    with WarmSandbox(directory=tmp_path / "tmp", memory_bytes=2 << 30, pages=2) as sandbox:
        for _ in range(2):
            sandbox.call_twice("probe", seconds=60, engine="auto", **_LIMITS)
        assert sandbox._process is not None
        before = sandbox._process.pid

        sandbox.replace_if_worn()
        sandbox.call_twice("probe", seconds=60, engine="auto", **_LIMITS)

        assert sandbox._process.pid != before

"""System errors are one line with a fix, and finished files are kept; tested with real resource limits."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from alloy.core.files import InputError
from alloy.core.system_errors import explain_path_error, explain_system_error, is_system_error
from projects import make_environment

ROOT = Path(__file__).parents[2]
LIBRARY_ERRORS = [
    (RuntimeError("[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory"), "memory"),
    (type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory. Tried to allocate 2.00 GiB."), "GPU"),
    (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), "GPU"),
    (ValueError("No available memory for the cache blocks. Try increasing `gpu_memory_utilization`"), "GPU"),
    (type("SafetensorError", (Exception,), {"__module__": "safetensors"})("I/O error (os error 28)"), "disk is full"),
    (type("OperationalError", (Exception,), {"__module__": "sqlite3"})("database or disk is full"), "disk is full"),
    (OSError("[Errno 122] Error writing bytes to file. Detail: Disk quota exceeded"), "quota"),
    (RuntimeError("unable to open shared memory object: Too many open files (24)"), "ulimit -n"),
    (RuntimeError("can't start new thread"), "threads"),
    (ImportError("libx.so: failed to map segment from shared object: Cannot allocate memory"), "memory"),
    (MemoryError(), "memory"),
    (OSError("1000000 requested and 261088 written"), "disk is full"),
    (Exception("No space left on device (os error 28)"), "disk is full"),
    (Exception("File too large (os error 27)"), "ulimit -f"),
    (Exception("Disk quota exceeded (os error 122)"), "quota"),
    (RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534"), "disk is full"),
    (RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed"), "disk is full"),
]  # fmt: skip


@pytest.mark.parametrize(
    "number",
    [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM],
    ids=errno.errorcode.get,
)
def test_each_system_error_names_its_file_and_a_fix(number):
    line = explain_system_error(OSError(number, os.strerror(number), "models/x"))
    assert line is not None
    assert line.startswith("models/x: ")
    assert "; " in line
    assert "\n" not in line


@pytest.mark.parametrize(("error", "word"), LIBRARY_ERRORS, ids=[str(number) for number in range(len(LIBRARY_ERRORS))])
def test_system_errors_are_recognized_in_messages_of_libraries(error, word):
    line = explain_system_error(error)
    assert line is not None
    assert word in line
    assert "\n" not in line
    assert is_system_error(error)


@pytest.mark.parametrize(
    "message", ["10 requested and 2 written", "[enforce fail at inline_container.cc:1] . unexpected pos 1 vs 2"]
)
def test_an_incomplete_write_is_explained_by_the_limit_of_the_process(monkeypatch, message):
    monkeypatch.setattr("resource.getrlimit", lambda _: (1000, 1000))
    assert explain_system_error(OSError(message)) == explain_system_error(OSError(errno.EFBIG, ""))


@pytest.mark.parametrize("link", ["__cause__", "__context__"])
def test_a_system_error_is_found_behind_both_links_of_an_error(link):
    error = RuntimeError("cannot save")
    error.__cause__, error.__context__ = ValueError("one"), ValueError("other")
    getattr(error, link).__context__ = Exception("No space left on device (os error 28)")
    assert is_system_error(error)


def test_a_system_error_is_recognized_as_the_cause_of_another_error():
    try:
        try:
            raise OSError(errno.EMFILE, "Too many open files", "x.safetensors")
        except OSError:
            raise InputError("x.safetensors: not a whole file; fetch it again") from None
    except InputError as error:
        assert error.__context__ is not None
        assert explain_system_error(error) == explain_system_error(error.__context__)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no space left on device, said the comment"),
        InputError("comments.jsonl:3: 'out of memory' is not a label (os error 28)"),
        KeyError("file too large"),
        FileNotFoundError(errno.ENOENT, "No such file or directory", "x"),
        BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"),
        RuntimeError("shapes do not match"),
        Exception("no space left on device, said the comment"),
        ValueError("10 requested and 2 written"),
    ],
    ids=["value", "input", "key", "missing", "lock", "bug", "plain", "count"],
)
def test_other_errors_are_not_system_errors(error):
    assert explain_system_error(error) is None
    assert explain_path_error(error) is None


START = """
import os, resource, sys
from pathlib import Path
from alloy.core.files import write_json, write_jsonl
from alloy.core.stage import run
def main():
    write_json("done.json", {})
    folder = Path(sys.argv[1])
"""
FILL = "    write_jsonl(folder / 'large.jsonl', ({'text': 'x' * 1000} for _ in range(100_000)))\n"
LIMITS = {
    "file size": ("    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n" + FILL, "ulimit -f"),
    "open files": (
        "    resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))\n    kept = [open(os.devnull) for _ in range(99)]\n",
        "ulimit -n",
    ),
    "memory": (
        "    resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))\n    kept = [bytes(2**28) for _ in range(99)]\n",
        "out of memory",
    ),
    "memory of numpy": (
        "    import numpy\n    resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))\n    numpy.ones(2**33)\n",
        "out of memory",
    ),
    "memory of torch": (
        "    import torch\n    resource.setrlimit(resource.RLIMIT_AS, (2**33, 2**33))\n    torch.ones(2**40)\n",
        "out of memory",
    ),
    "safetensors": (
        "    import numpy\n    from safetensors.numpy import save_file\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
        "    save_file({'a': numpy.ones(10**6)}, folder / 'x.safetensors')\n",
        "ulimit -f",
    ),
}


def run_failing_code(folder: Path, code: str, *words: str, **options) -> list[str]:
    """Run a stage that must fail in `folder`, and return its lines on standard error."""
    (folder / "filling.py").write_text(START + code + "run(main)\n")
    command = [sys.executable, "filling.py", *words]
    env = make_environment(PYTHONPATH=str(ROOT))
    pipes = {"stderr": subprocess.PIPE, "stdout": subprocess.PIPE, **options}
    result = subprocess.run(command, cwd=folder, env=env, text=True, check=False, timeout=300, **pipes)
    assert result.returncode == 1
    return result.stderr.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize(("code", "word"), LIMITS.values(), ids=LIMITS)
def test_a_reached_limit_is_an_error_of_one_line_and_finished_files_are_kept(tmp_path, code, word):
    (line,) = run_failing_code(tmp_path, code, ".")
    assert line.startswith("filling: ")
    assert word in line
    assert "`dvc repro` again" in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["done.json", "filling.py"]


@pytest.fixture
def small_disk(tmp_path):
    """Return a folder of 1 MiB that is mounted; a test that may not mount is skipped."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.slow
def test_a_full_disk_is_an_error_of_one_line_and_leaves_no_partial_files(small_disk, tmp_path):
    (small_disk / "before.json").write_text("{}")
    (line,) = run_failing_code(tmp_path, FILL, str(small_disk))
    assert "the disk is full" in line
    assert [path.name for path in small_disk.iterdir()] == ["before.json"]


@pytest.mark.slow
def test_a_disk_that_cannot_be_written_to_is_an_error_of_one_line(small_disk, tmp_path):
    if subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=False).returncode:
        pytest.skip("the disk cannot be mounted read-only")
    (line,) = run_failing_code(tmp_path, FILL, str(small_disk))
    assert "read-only" in line


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
def test_output_to_a_full_disk_is_an_error_of_one_line(tmp_path):
    with open("/dev/full", "w") as device:
        (line,) = run_failing_code(tmp_path, "    print('said ' * 10_000)\n", ".", stdout=device)
    assert "the disk is full" in line


@pytest.mark.slow
def test_the_message_of_a_command_says_to_run_it_again(tmp_path):
    (tmp_path / "params.yaml").write_text("mix: {ratio: 0.1}\n")
    command = f"ulimit -f 0; exec {sys.executable} -m alloy nova recipe write recipe.yaml"
    result = subprocess.run(
        ["bash", "-c", command],
        cwd=tmp_path,
        env=make_environment(PYTHONPATH=str(ROOT), PYTHONDONTWRITEBYTECODE="1"),
        text=True,
        capture_output=True,
        check=False,
        timeout=300,
    )
    (line,) = result.stderr.splitlines()
    assert (result.returncode, result.stdout) == (1, "")
    assert line.startswith("alloy: ")
    assert line.endswith("run the command again")
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]

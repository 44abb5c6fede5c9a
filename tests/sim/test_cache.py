"""The cache: whole results or none, made once, and made again where something damaged them."""

import errno
import json
import os
import re
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from roundel.golden.errors import EnvironmentWarning, InputError, ToolError
from roundel.processes import cache_root, places
from roundel.sim import cache


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A cache of the test's own."""
    monkeypatch.setenv("ROUNDEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "_read", set())  # as in a new process
    return tmp_path / "cache"


def tool(folder: Path) -> None:
    (folder / "tool").write_text("#!/bin/sh\necho works\n")
    (folder / "tool").chmod(0o755)
    (folder / "inner").mkdir()
    (folder / "inner" / "data").write_bytes(bytes(1000))


def made() -> Path:
    return cache.cached("kind", ["a"], tool)


def test_the_cache_publishes_whole_results_only(monkeypatch, tmp_path):
    monkeypatch.setenv("ROUNDEL_CACHE", str(tmp_path))

    def fail(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        cache.cached("kind", ["a"], fail)
    assert (cache.failed_folder("kind", ["a"]) / "half").exists()
    folder = cache.cached("kind", ["a"], lambda work: (work / "whole").write_text("y") and None)
    assert [item.name for item in folder.iterdir()] == ["whole"]


def test_the_cache_makes_a_result_once_for_all_that_ask(monkeypatch, tmp_path):
    monkeypatch.setenv("ROUNDEL_CACHE", str(tmp_path))
    made = []

    def make(folder: Path) -> None:
        made.append(folder)
        time.sleep(0.1)

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(lambda _: cache.cached("kind", ["a"], make), range(8)))) == 1
    assert len(made) == 1


def test_different_lists_have_different_digests():
    assert cache.digest(["ab", "c"]) != cache.digest(["a", "bc"])


DAMAGES = {
    "truncated": lambda folder: os.truncate(folder / "tool", 4),
    "deleted": lambda folder: (folder / "tool").unlink(),
    "not executable": lambda folder: (folder / "tool").chmod(0o644),
    "a bit of it": lambda folder: (folder / "inner" / "data").write_bytes(bytes(999) + b"\1"),
    "emptied": lambda folder: [shutil.rmtree(folder), folder.mkdir(), folder.with_suffix(".sum").unlink()],
    "one more file": lambda folder: (folder / "more").touch(),
    "no list": lambda folder: folder.with_suffix(".sum").write_text("{"),
    "another list": lambda folder: folder.with_suffix(".sum").write_text("[1, 2]"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_result_is_made_again_with_a_warning(damage, monkeypatch):
    folder = made()
    DAMAGES[damage](folder)
    monkeypatch.setattr(cache, "_read", set())
    with pytest.warns(EnvironmentWarning, match=re.escape(f"{folder}: damaged in the cache, made again")):
        assert made() == folder
    assert subprocess.run([folder / "tool"], capture_output=True, check=True).stdout == b"works\n"
    assert (folder / "inner" / "data").read_bytes() == bytes(1000)
    assert not (folder / "more").exists()
    assert cache.cached("kind", ["a"], lambda _: pytest.fail("made again")) == folder


def test_a_program_that_goes_while_a_process_lives_is_made_again():
    (made() / "tool").unlink()
    with pytest.warns(EnvironmentWarning, match="damaged"):
        assert (made() / "tool").exists()


def test_a_result_of_a_version_that_listed_no_files_is_made_again_without_a_warning():
    folder = made()
    folder.with_suffix(".sum").unlink()
    assert made() == folder
    assert json.loads(folder.with_suffix(".sum").read_text()).keys() == {"tool", "inner/data"}


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), ToolError("x: No space left on device")]
)
def test_a_full_cache_is_one_line_and_keeps_nothing(error, place):
    def make(folder: Path) -> None:
        (folder / "half").touch()
        raise error

    message = f"{place}: the cache cannot be written (No space left on device); set ROUNDEL_CACHE to a folder with room"
    with pytest.raises(InputError, match=re.escape(message)):
        cache.cached("kind", ["a"], make)
    assert [path.suffix for path in (place / "kind").iterdir()] in ([], [".lock"])


def test_a_small_disk_that_is_full(tmp_path, monkeypatch):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        monkeypatch.setenv("ROUNDEL_CACHE", str(disk))
        with pytest.raises(InputError, match=r"the cache cannot be written \(No space left on device\)"):
            cache.cached("kind", ["a"], lambda folder: (folder / "big").write_bytes(bytes(1 << 20)) and None)
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_cache_that_the_user_names_and_that_cannot_be_written_is_one_line(name, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("ROUNDEL_CACHE", str(tmp_path / name))
    with pytest.raises(InputError, match=re.escape(f"ROUNDEL_CACHE: {tmp_path / name} cannot be written (")):
        made()


def test_a_home_that_cannot_be_written_gets_a_temporary_cache_and_a_warning(tmp_path, monkeypatch):
    (tmp_path / "home").touch()
    monkeypatch.delenv("ROUNDEL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    with pytest.warns(
        EnvironmentWarning, match=re.escape(f"{tmp_path / 'home' / 'roundel'}: the cache cannot be written")
    ):
        first = made()
    assert made() == first  # the same one for the whole process, without another warning
    assert first.is_relative_to(cache_root())
    places._open.close()  # as at the end of the process
    assert not first.exists()
    places._default.cache_clear()

"""Children and work folders go with their process, however it ends; what a user sets does not reach them."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from roundel.golden.errors import InputError
from roundel.processes import Stopped, guardian, in_parallel, keep, run_child, work_folder
from roundel.processes import folders as folders_file
from tests.support.places import ROOT

PATIENCE_S = 30.0
GRANDPARENT = "import subprocess, time; print(subprocess.Popen(['sleep', '99']).pid, flush=True); time.sleep(99)"
CHILD = f"""
import sys, threading, time
from pathlib import Path
from roundel.processes import run_child, work_folder
from roundel.processes.guard import GUARD
with work_folder(Path(sys.argv[1])) as folder:
    command, log = [sys.executable, "-c", {GRANDPARENT!r}], folder / "log"
    threading.Thread(target=lambda: run_child(command, folder=folder, log=log), daemon=True).start()
    while not log.exists() or not log.read_text().strip():
        time.sleep(0.01)
    print(folder, log.read_text().strip(), GUARD._guardian[0], flush=True)
    time.sleep(99)
"""


def gone(check) -> bool:
    late = time.monotonic() + PATIENCE_S
    while not check() and time.monotonic() < late:
        time.sleep(0.01)
    return bool(check())


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def victim(tmp_path):
    """A process with a work folder, a child and a grandchild; the folder, the numbers of grandchild and guardian."""
    process = subprocess.Popen([sys.executable, "-c", CHILD, tmp_path], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    folder, *numbers = process.stdout.readline().split()
    yield process, Path(folder), *map(int, numbers)
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_killed_process_leaves_no_grandchild_and_no_folder(victim):
    process, folder, grandchild, _ = victim
    assert folder.is_dir()
    assert alive(grandchild)
    process.kill()
    assert gone(lambda: not folder.exists())
    assert gone(lambda: not alive(grandchild))


def test_the_next_run_sweeps_what_a_dead_process_and_a_dead_guardian_left(victim, monkeypatch):
    process, folder, grandchild, guard = victim
    os.kill(guard, signal.SIGKILL)
    assert gone(lambda: not alive(guard))
    monkeypatch.setattr(folders_file, "_swept", set())
    with work_folder(folder.parent):
        assert folder.is_dir()  # its owner lives
    process.kill()
    process.wait()
    os.kill(grandchild, signal.SIGKILL)
    assert folder.is_dir()
    monkeypatch.setattr(folders_file, "_swept", set())
    with work_folder(folder.parent):
        assert not folder.exists()


def test_a_kept_folder_is_not_swept(tmp_path, monkeypatch):
    with work_folder(tmp_path) as folder:
        keep(folder)
    monkeypatch.setattr(folders_file, "_swept", set())
    with work_folder(tmp_path) as other:
        assert sorted(tmp_path.iterdir()) == sorted([folder, other])


def test_a_guardian_that_was_killed_is_replaced(tmp_path):
    script = """
import os, signal, sys
from pathlib import Path
from roundel.processes import work_folder
from roundel.processes.guard import GUARD
with work_folder(Path(sys.argv[1])):
    os.kill(GUARD._guardian[0], signal.SIGKILL)
    os.waitid(os.P_PID, GUARD._guardian[0], os.WEXITED | os.WNOWAIT)
    with work_folder(Path(sys.argv[1])):
        os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", script, tmp_path], cwd=ROOT, check=False)
    assert gone(lambda: not list(tmp_path.iterdir()))


def test_the_guardian_removes_what_came_and_did_not_go(tmp_path):
    for name in ("left", "gone"):
        (tmp_path / name).mkdir()
    left, kept = (os.fsencode(tmp_path / name).hex() for name in ("left", "gone"))
    lines = [f"+ folder {left}", f"+ folder {kept}", "+ group 123", "- group 123", f"- folder {kept}"]
    groups, folders = guardian.listen(f"{line}\n".encode() for line in lines)
    assert groups == set()
    guardian.clean(groups, folders)
    assert [path.name for path in tmp_path.iterdir()] == ["gone"]


def test_a_failure_ends_the_children_of_the_others(tmp_path):
    def part(index):
        if index == 1:
            run_child(["sh", "-c", "touch begun; exec sleep 99"], folder=tmp_path)
        assert gone((tmp_path / "begun").exists)
        raise InputError(f"part {index}")

    start = time.monotonic()
    with pytest.raises(InputError, match="part 0"):
        in_parallel(part, [0, 1])
    assert time.monotonic() - start < PATIENCE_S


def test_work_that_was_given_up_starts_nothing_more():
    def part(index):
        if index == 0:
            raise InputError("bad")
        with pytest.raises(Stopped):
            run_child(["sleep", "99"])
        with pytest.raises(Stopped):
            run_child(["true"])

    with pytest.raises(InputError, match="bad"):
        in_parallel(part, [0, 1])


def test_results_come_in_the_order_of_the_items():
    assert in_parallel(lambda index: index * index, range(50)) == [index * index for index in range(50)]


def test_no_variable_of_the_users_reaches_a_child(tmp_path, monkeypatch):
    for name in ("COCOTB_TEST_FILTER", "CXXFLAGS", "LIBPYTHON_LOC", "MAKEFLAGS", "PYTHONOPTIMIZE", "VERILATOR_ROOT"):
        monkeypatch.setenv(name, "1")
    ended = run_child(["env"], folder=tmp_path, variables={"OWN": "yes"})
    seen = dict(line.partition("=")[::2] for line in ended.output.splitlines())
    assert seen["OWN"] == "yes"
    assert seen["TMPDIR"] == str(tmp_path)
    assert set(seen) - {"HOME", "LD_LIBRARY_PATH", "LD_PRELOAD", "LOGNAME", "PATH", "USER"} == {
        "LC_ALL", "OWN", "PYTHONHASHSEED", "PYTHONNOUSERSITE", "PYTHONPATH", "PYTHONSAFEPATH", "PYTHONUTF8", "TMPDIR"
    }  # fmt: skip


def test_a_child_whose_time_is_over_is_ended(tmp_path):
    ended = run_child(["sh", "-c", "echo begun; sleep 99"], folder=tmp_path, log=tmp_path / "log", timeout_s=0.2)
    assert (ended.code, str(ended), (tmp_path / "log").read_text()) == (None, "its time was over", "begun\n")


def test_a_child_whose_time_is_over_leaves_no_pipe_open():
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert run_child(["sleep", "99"], timeout_s=0.1).code is None
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_child_gets_its_text_and_says_how_it_ended():
    ended = run_child(["sh", "-c", "cat; echo bad >&2; exit 3"], text="given")
    assert (ended.output, ended.errors, str(ended)) == ("given", "bad\n", "exit code 3")
    assert str(run_child(["sh", "-c", "kill -6 $$"])) == "signal 6"


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    file = tmp_path / "file"
    file.touch()
    message = re.escape(f"{file}: no temporary folder can be made there (Not a directory)")
    with pytest.raises(InputError, match=message), work_folder(file):
        pass

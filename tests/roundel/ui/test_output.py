"""Output folders: written whole or not at all, wherever they lie, and nothing lost that was made."""

import errno
import os
import re
import subprocess

import pytest

from roundel.golden.errors import InputError
from roundel.ui import output, output_folder


def written(path, text="made", name="file", inside=""):
    with output_folder(path) as work:
        (work / inside).mkdir(exist_ok=True)
        (work / inside / name).write_text(text)


@pytest.fixture
def other_disk(tmp_path):
    """A folder on another file system: a mounted one where that can be had, else what calls itself one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_folder_that_is_there_is_written_from_inside_of_it(tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    seen = []
    monkeypatch.setattr(output.os, "replace", lambda source, target: seen.append(source) or os.rename(source, target))
    written(tmp_path / "out")
    assert [source.parent.parent for source in seen] == [tmp_path / "out"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["file"]


def test_an_output_on_another_file_system(tmp_path, other_disk):
    written(other_disk)
    (tmp_path / "link").symlink_to(other_disk)
    written(tmp_path / "link", "again")
    assert (other_disk / "file").read_text() == "again"
    assert os.listdir(other_disk) == ["file"]


def test_a_folder_of_the_output_that_is_a_link_to_another_file_system(tmp_path, other_disk):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "part").symlink_to(other_disk)
    written(tmp_path / "out", inside="part")
    assert os.listdir(other_disk) == ["file"]


def test_a_link_within_the_output_where_no_file_can_be_moved_over(tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "part").symlink_to(tmp_path / "elsewhere")

    def replace(source, target):
        if source.parent.parent != target.parent.parent and source.parent != target.parent:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        os.rename(source, target)

    monkeypatch.setattr(output.os, "replace", replace)
    written(tmp_path / "out", inside="part")
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["file"]


def test_a_full_disk_is_one_line_and_leaves_nothing(other_disk):
    path = other_disk / "out"
    with pytest.raises(InputError, match=re.escape(f"{path}: cannot be written (No space left on device)")):
        written(path, "x" * (2 << 20))
    assert os.listdir(other_disk) == []


def test_a_disk_that_cannot_be_written_is_refused_before_the_work(tmp_path, other_disk):
    subprocess.run(["mount", "-o", "remount,ro", other_disk], check=True)
    for path in (other_disk, other_disk / "out", other_disk / "deep" / "out"):
        message = re.escape(f"{path}: cannot be written (Read-only file system)")
        with pytest.raises(InputError, match=message), output_folder(path):
            pytest.fail("work was done")


def test_a_folder_that_can_be_written_on_a_disk_that_cannot(tmp_path, other_disk):
    inner = other_disk / "inner"
    inner.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", inner], check=True)
    subprocess.run(["mount", "-o", "remount,ro", other_disk], check=True)
    try:
        written(inner)
        assert os.listdir(inner) == ["file"]
    finally:
        subprocess.run(["umount", "-l", inner], check=True)


@pytest.mark.parametrize("place", ["file/out", "file", "nowhere"])
def test_a_path_that_can_be_no_folder_is_refused_before_the_work(place, tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "nowhere").symlink_to(tmp_path / "missing")
    with pytest.raises(InputError, match=re.escape(str(tmp_path / place))), output_folder(tmp_path / place):
        pytest.fail("work was done")
    assert sorted(os.listdir(tmp_path)) == ["file", "nowhere"]
    assert (tmp_path / "file").read_text() == "mine"


def test_what_was_made_is_kept_when_the_last_step_fails(tmp_path):
    (tmp_path / "out" / "file").mkdir(parents=True)
    with pytest.raises(
        InputError, match="file: is in the way, expected nothing or a file; what was made lies in "
    ) as said:
        written(tmp_path / "out", "hours of work")
    kept = str(said.value).rpartition(" lies in ")[2]
    assert (tmp_path / "out") == output.Path(kept).parent
    assert (output.Path(kept) / "file").read_text() == "hours of work"


def test_work_that_fails_leaves_no_folder_not_even_those_above(tmp_path):
    with pytest.raises(ZeroDivisionError), output_folder(tmp_path / "a" / "b" / "out") as work:
        (work / "half").write_text(str(1 / 0))
    assert list(tmp_path.iterdir()) == []


def test_files_of_an_earlier_result_stay_but_those_that_this_one_has_not(tmp_path):
    with output_folder(tmp_path, ["maybe"]) as work:
        for name in ("file", "maybe"):
            (work / name).touch()
    (tmp_path / "mine").touch()
    with output_folder(tmp_path, ["maybe"]) as work:
        (work / "file").write_text("new")
    assert sorted(os.listdir(tmp_path)) == ["file", "mine"]


def test_a_new_output_has_the_permissions_of_any_new_folder(tmp_path):
    (tmp_path / "usual").mkdir()
    written(tmp_path / "out", inside="part")
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "usual").stat().st_mode

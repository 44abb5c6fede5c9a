"""`.npz` files: what NumPy reads, read; what would take the machine's memory, refused before it does."""

import io
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from roundel.golden.errors import InputError
from roundel.graph import archives, read_npz

ARRAYS = {"images": np.arange(24.0).reshape(2, 3, 4), "labels": np.array([1, 2], np.uint8), "none": np.zeros((0, 4))}


def archive(path: Path, members: dict[str, bytes], kind: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", kind) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def npy(array: np.ndarray, version: tuple[int, int] = (1, 0)) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, version)
    return stream.getvalue()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_every_array_that_numpy_writes(save, tmp_path):
    save(tmp_path / "a.npz", **ARRAYS)
    assert list(read_npz(tmp_path / "a.npz")) == list(ARRAYS)
    for name, array in read_npz(tmp_path / "a.npz", ("labels", "images", "absent")).items():
        assert array.dtype == ARRAYS[name].dtype
        np.testing.assert_array_equal(array, ARRAYS[name])


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_a_member_without_npy_in_its_name(version, tmp_path):
    path = archive(tmp_path / "a.npz", {"images": npy(ARRAYS["images"], version)})
    np.testing.assert_array_equal(read_npz(path)["images"], ARRAYS["images"])


@pytest.mark.parametrize(
    "members",
    [
        {"images.npy": b"no array"},
        {"images": b""},
        {"images.npy": npy(ARRAYS["images"])[:-1]},
        {"images.npy": npy(ARRAYS["images"]).replace(b"(2, 3, 4)", b"(9, 3, 4)")},
        {"images.npy": npy(ARRAYS["images"]).replace(b"'<f8'", b"'|O' ")},
    ],
)
def test_what_is_no_array(members, tmp_path):
    path = archive(tmp_path / "a.npz", members)
    with pytest.raises(InputError, match=r"a\.npz: not a valid \.npz file of arrays"):
        read_npz(path, ("images",))
    assert read_npz(path, ("labels",)) == {}, "a member that nobody asked for does not matter"


def test_a_header_that_promises_more_than_the_member_has(tmp_path):
    data = npy(ARRAYS["images"]).replace(b"(2, 3, 4), }          ", b"(99999999999, 3, 4), }")
    assert len(data) == len(npy(ARRAYS["images"]))
    with pytest.raises(InputError, match="not a valid"):
        read_npz(archive(tmp_path / "a.npz", {"images.npy": data}))


def test_an_archive_that_unpacks_to_too_much(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_NPZ", 64 << 20)
    np.savez_compressed(tmp_path / "a.npz", images=np.zeros((65, 1 << 20), np.uint8), labels=np.zeros(65, np.uint8))
    assert (tmp_path / "a.npz").stat().st_size < 100_000
    tracemalloc.start()
    with pytest.raises(InputError, match=r"a\.npz: images, labels: expected at most 64 MiB of arrays, not 65: split"):
        read_npz(tmp_path / "a.npz", ("images", "labels"))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 1 << 20
    assert read_npz(tmp_path / "a.npz", ("labels",))["labels"].size == 65

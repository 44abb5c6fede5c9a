"""`roundel.detection.detections`: images with objects from a file."""

from pathlib import Path

import numpy as np
import pytest

from roundel.detection import read_scenes
from roundel.golden.errors import InputError

SHAPE = (1, 6, 8)
ARRAYS = {
    "images": np.arange(3 * 48, dtype=np.uint8).reshape(3, *SHAPE),
    "boxes": np.array([[0, 0, 8, 6], [1, 2, 3, 4], [2, 2, 4, 5.5]], np.float32),
    "classes": np.array([1, 0, 7], np.uint8),
    "image_ids": np.array([2, 0, 2], np.uint16),
}


def written(folder: Path, **changes: np.ndarray | None) -> Path:
    arrays = {name: values for name, values in (ARRAYS | changes).items() if values is not None}
    np.savez(folder / "scenes.npz", **arrays)
    return folder / "scenes.npz"


def test_objects_are_with_their_images(tmp_path: Path) -> None:
    scenes = read_scenes(written(tmp_path), SHAPE)
    np.testing.assert_array_equal(scenes.images, ARRAYS["images"])
    assert [one.classes.tolist() for one in scenes.objects] == [[0], [], [1, 7]]
    assert [one.boxes.tolist() for one in scenes.objects] == [[[1, 2, 3, 4]], [], [[0, 0, 8, 6], [2, 2, 4, 5.5]]]
    assert len(scenes.first(2).images) == len(scenes.first(2).objects) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": None}, "expected an array named images"),
        ({"classes": None}, "expected an array named classes"),
        ({"images": np.zeros((3, 1, 8, 6))}, "images: expected shape"),
        ({"boxes": np.array([[0, 0, 9, 6]] * 3)}, r"boxes\[0\] is .*within the image, 8 x 6"),
        ({"boxes": np.array([[0, 3, 4, 3]] * 3)}, r"boxes\[0\] is .*expected y1 < y2"),
        ({"classes": np.array([0, 1])}, "classes must have the shape"),
        ({"image_ids": np.array([0, 1, 3])}, "image_ids: expected 3 integers from 0 to 2"),
        ({"image_ids": np.array([0, -1, 2])}, "image_ids: expected 3 integers from 0 to 2"),
        ({"image_ids": np.array([0.0, 1, 2])}, "image_ids: expected 3 integers from 0 to 2"),
        ({"image_ids": np.array([0, 1])}, "image_ids: expected 3 integers from 0 to 2"),
        ({"boxes": np.array([["a"] * 4] * 3)}, "boxes"),
        ({"classes": np.array([{}, 1, 2], object)}, "not a valid .npz file of arrays"),
    ],
)
def test_refuses(tmp_path: Path, changes: dict[str, np.ndarray | None], message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        read_scenes(written(tmp_path, **changes), SHAPE)
    assert str(error.value).startswith(str(tmp_path))


def test_refuses_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected an \.npz file, but there is none"):
        read_scenes(tmp_path / "no.npz", SHAPE)

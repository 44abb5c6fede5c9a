"""Files of detections: what is read from them, and what every bad one is answered with."""

import numpy as np
import pytest

from roundel.detection.detections import read_detections
from roundel.golden.errors import InputError

BOXES = [[0, 0, 10, 20], [5.5, 5, 15, 25], [100, 100, 300, 200]]
SCORES = [0.5, 0.9, 0.1]


def written(folder, **arrays):
    """Path of a file with those arrays."""
    path = folder / "found.npz"
    np.savez(path, **arrays)
    return path


def test_images_come_in_the_order_of_first_appearance(tmp_path):
    path = written(tmp_path, boxes=BOXES, scores=SCORES, classes=[3, 0, 1], image_ids=[42, 7, 42])
    first, second = read_detections(path)
    assert (first.image_id, second.image_id) == (42, 7)
    assert first.indices.tolist() == [0, 2]
    assert second.indices.tolist() == [1]
    assert first.detections.boxes.tolist() == [BOXES[0], BOXES[2]]
    assert first.detections.scores.tolist() == [0.5, 0.1]
    assert first.detections.labels.tolist() == [3, 1]
    assert second.detections.boxes.tolist() == [BOXES[1]]


def test_one_image_and_one_class_where_the_file_names_none(tmp_path):
    (only,) = read_detections(written(tmp_path, boxes=np.array(BOXES, np.float32), scores=SCORES))
    assert only.image_id == 0
    assert only.indices.tolist() == [0, 1, 2]
    assert only.detections.labels.tolist() == [0, 0, 0]


def test_no_boxes_are_no_images(tmp_path):
    assert read_detections(written(tmp_path, boxes=np.zeros((0, 4)), scores=np.zeros(0))) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"boxes": None}, "expected an array named boxes"),
        ({"scores": None}, "expected an array named scores"),
        ({"boxes": np.zeros((3, 5))}, r"boxes must have the shape \(n, 4\), not \(3, 5\)"),
        ({"scores": SCORES[:2]}, r"scores must have the shape \(3,\), one for each box, not \(2,\)"),
        ({"scores": [0.5, 0.9, np.nan]}, r"scores\[2\] is nan: expected a number"),
        ({"scores": ["a", "b", "c"]}, "scores: expected real numbers, not <U1"),
        ({"boxes": [*BOXES[:1], [5, 0, 5, 9], BOXES[2]]}, r"boxes\[1\] is \[5.0, 0.0, 5.0, 9.0\]: expected x1 < x2"),
        ({"boxes": [*BOXES[:2], [5, 9, 6, 2]]}, r"boxes\[2\] is .*: expected y1 < y2"),
        ({"classes": [0, -1, 0]}, r"classes\[1\] is -1: expected 0 to 2147483647"),
        ({"classes": [0.0, 1.0, 0.5]}, "classes must be integers, not float64"),
        ({"image_ids": [1, 2]}, r"image_ids: expected 3 integers, not int64 of \(2,\)"),
        ({"image_ids": [1, 2, 2.5]}, "image_ids: expected 3 integers, not float64"),
        ({"boxes": np.array([None])}, "not a valid .npz file of arrays"),  # an object would have to be unpickled
    ],
)
def test_bad_arrays(tmp_path, change, message):
    arrays = {"boxes": BOXES, "scores": SCORES} | change
    path = written(tmp_path, **{name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(InputError, match=f"found.npz: {message}"):
        read_detections(path)


def test_bad_row_is_named_as_the_file_numbers_it(tmp_path):
    """Not by its place among the boxes of its image."""
    boxes = [*BOXES[:2], [5, 9, 6, 2]]
    with pytest.raises(InputError, match=r"boxes\[2\]"):
        read_detections(written(tmp_path, boxes=boxes, scores=SCORES, image_ids=[0, 0, 1]))


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut off"])
def test_no_npz(tmp_path, content):
    path = tmp_path / "found.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"found\.npz: not a valid \.npz file of arrays"):
        read_detections(path)


def test_single_array_is_no_npz(tmp_path):
    path = tmp_path / "found.npy"
    np.save(path, np.array(BOXES))
    with pytest.raises(InputError, match="not a valid"):
        read_detections(path)


@pytest.mark.parametrize("path", ["nothing.npz", "."])
def test_no_file(tmp_path, path):
    with pytest.raises(InputError, match="but there is none"):
        read_detections(tmp_path / path)

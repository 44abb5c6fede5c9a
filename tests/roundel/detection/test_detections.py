"""Files of detections: what is read from them, and what every bad one is answered with."""

import numpy as np
import pytest

from roundel.detection.box_rows import box_rows
from roundel.detection.detections import read_arrays
from roundel.detection.nms_options import NmsOptions
from roundel.golden.errors import InputError
from roundel.golden.nms import outside

BOXES = [[0, 0, 10, 20], [5.5, 5, 15, 25], [100, 100, 300, 200]]
SCORES = [0.5, 0.9, 0.1]


def written(folder, **arrays):
    """Path of a file with those arrays."""
    path = folder / "found.npz"
    np.savez(path, **arrays)
    return path


def read_detections(path, **options):
    """The rows of a file, for a method without borders."""
    return box_rows(str(path), read_arrays(path), NmsOptions(method="greedy", on="float", **options))


def test_images_come_in_the_order_of_first_appearance(tmp_path):
    path = written(tmp_path, boxes=BOXES, scores=SCORES, classes=[3, 0, 1], image_ids=[42, 7, 42])
    found = read_detections(path)
    (first, first_rows), (second, second_rows) = found.images
    assert (first, second) == (42, 7)
    assert first_rows.tolist() == [0, 2]
    assert second_rows.tolist() == [1]
    assert found.take(first_rows).boxes.tolist() == [BOXES[0], BOXES[2]]
    assert found.take(first_rows).scores.tolist() == [0.5, 0.1]
    assert found.take(first_rows).labels.tolist() == [3, 1]
    assert found.take(second_rows).boxes.tolist() == [BOXES[1]]


def test_one_image_and_one_class_where_the_file_names_none(tmp_path):
    found = read_detections(written(tmp_path, boxes=np.array(BOXES, np.float32), scores=SCORES))
    ((only, rows),) = found.images
    assert only == 0
    assert rows.tolist() == [0, 1, 2]
    assert found.detections.labels.tolist() == [0, 0, 0]


def test_no_boxes_are_no_images(tmp_path):
    found = read_detections(written(tmp_path, boxes=np.zeros((0, 4)), scores=np.zeros(0)))
    assert (found.images, found.members) == ([], [])


def test_groups_are_classes_of_images(tmp_path):
    boxes, ids, classes = np.tile(BOXES, (3, 1)), [9, 9, 2**63, 2**63, 9, 2**63, 9, 9, 0], [5, 0, 5, 0, 5, 5, 0, 5, 5]
    path = written(tmp_path, boxes=boxes, scores=np.arange(9), classes=classes, image_ids=np.array(ids, np.uint64))
    found = read_detections(path)
    assert [rows.tolist() for rows in found.members] == [[1, 6], [0, 4, 7], [3], [2, 5], [8]]
    assert [image for image, _ in found.images] == [9, 2**63, 0]
    assert [rows.tolist() for _, rows in found.images] == [[0, 1, 4, 6, 7], [2, 3, 5], [8]]


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


BAD = {
    1: ([5, 0, 5, 9], 0.5, 0, "without area"),
    2: ([0, 7, 5, 7], 0.5, 0, "without area"),
    4: ([0, 9, 5, 7], np.nan, 0, "without area"),
    5: ([0, 0, np.nan, 7], 0.5, 0, "without usable corners"),
    7: ([0, 0, 5, 7], np.nan, 0, "without a score"),
    8: ([0, 0, 5, 7], 0.5, -1, "of no class"),
    9: ([0, 0, 1e-200, 1e-200], 0.5, 0, "without area"),
    10: ([0, 0, 641, 9], 0.5, 0, "outside the image"),
}


def mixed(folder):
    """A file of eleven boxes, of which rows 0, 3 and 6 are good."""
    rows = [BAD.get(row, (BOXES[0], 0.5, 0, "")) for row in range(11)]
    boxes, scores, classes, _ = map(list, zip(*rows, strict=True))
    return written(folder, boxes=boxes, scores=scores, classes=classes, image_ids=[0] * 5 + [1] * 6)


def test_bad_boxes_are_dropped_where_that_is_asked_for(tmp_path):
    found = box_rows("found.npz", read_arrays(mixed(tmp_path)), NmsOptions(drop_bad=True))
    assert found.rows.tolist() == [0, 3, 6]
    assert found.detections.boxes.tolist() == [BOXES[0]] * 3
    assert found.dropped == {row: reason for row, (*_, reason) in BAD.items()}
    assert found.reasons == {
        "without area": 4,
        "without usable corners": 1,
        "without a score": 1,
        "of no class": 1,
        "outside the image": 1,
    }
    assert [rows.tolist() for _, rows in found.images] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9, 10]]  # of the file
    assert [rows.tolist() for rows in found.members] == [[0, 1], [2]]  # of those that take part


def test_a_row_behind_dropped_ones_is_named_as_the_file_numbers_it(tmp_path):
    boxes = [[5, 0, 5, 9], *BOXES]
    found = box_rows(
        "found.npz",
        read_arrays(written(tmp_path, boxes=boxes, scores=[0, *SCORES])),
        NmsOptions(drop_bad=True),
    )
    fault = outside(found.detections.boxes, width=200, height=200)
    with pytest.raises(InputError, match=r"found.npz: boxes\[3\] is \[100.0, 100.0, 300.0, 200.0\]"):
        found.refuse(fault)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.int8, np.int64, np.uint64, ">f8", ">u2"])
def test_boxes_and_scores_of_every_real_type(kind, tmp_path):
    path = written(tmp_path, boxes=np.array([[0, 0, 10, 20]], kind), scores=np.array([3], kind))
    found = read_detections(path).detections
    assert (found.boxes.tolist(), found.scores.tolist()) == ([[0, 0, 10, 20]], [3])


@pytest.mark.parametrize("name", ["boxes", "scores", "classes", "image_ids"])
@pytest.mark.parametrize("kind", [bool, complex, "S8", "U8", "M8[s]", "m8[s]", "V4", [("a", np.int64)]], ids=str)
def test_other_types_are_refused(kind, name, tmp_path):
    arrays = {"boxes": BOXES, "scores": SCORES, "classes": [0, 0, 0], "image_ids": [0, 0, 0]}
    path = written(tmp_path, **arrays | {name: np.zeros(np.shape(arrays[name]), kind)})
    with pytest.raises(InputError, match=f"found.npz: {name}"):
        read_detections(path)

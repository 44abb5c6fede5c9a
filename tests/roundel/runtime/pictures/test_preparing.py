"""Pictures made into a network's images: letterboxed, scaled as calibration images were, and boxes mapped back."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from roundel.golden.errors import InputError
from roundel.quantization import ImageStatistics
from roundel.runtime.pictures import Letterbox, Pictures

SIZES = [(96, 64), (500, 360), (360, 500), (20, 10), (10, 20), (4000, 3), (3, 4000), (1, 1), (97, 65), (96, 65)]


def statistics(*ends: float) -> ImageStatistics:
    return ImageStatistics.of(np.array([[*ends]], np.float32))


def saved(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize("size", SIZES)
def test_as_large_as_fits_in_the_middle(size: tuple[int, int]) -> None:
    outer = (96, 64)
    place = Letterbox.of(size, outer)
    factor = min(outer[0] / size[0], outer[1] / size[1])
    for axis in range(2):
        assert abs(place.inner[axis] - max(1, size[axis] * factor)) <= 0.5
        free = outer[axis] - place.inner[axis]
        assert (place.corner[axis], free - place.corner[axis]) in ((free // 2, free // 2), (free // 2, free // 2 + 1))
    assert place.inner[0] == 96 or place.inner[1] == 64
    put = place.put(np.full((size[1], size[0], 3), 200, np.uint8), 114)
    assert put.shape == (64, 96, 3)
    x, y = place.corner
    inside = np.zeros((64, 96), bool)
    inside[y : y + place.inner[1], x : x + place.inner[0]] = True
    assert (put[inside] == 200).all()
    assert (put[~inside] == 114).all()


@pytest.mark.parametrize("size", [(500, 360), (360, 500), (40, 24), (96, 64), (1000, 100), (55, 70)])
def test_boxes_come_back_to_where_they_were(size: tuple[int, int], seed: int) -> None:
    """A bright box in a dark picture: what is bright in the input, mapped back, is the box within an input's pixel."""
    rng = np.random.default_rng([seed, size[0]])
    place = Letterbox.of(size, (96, 64))
    for _ in range(20):
        x, y = (np.sort(rng.choice(side + 1, 2, replace=False)) for side in size)
        pixels = np.zeros((size[1], size[0], 1), np.uint8)
        pixels[y[0] : y[1], x[0] : x[1]] = 255
        put = place.put(pixels, 0)[..., 0]
        rows, columns = np.nonzero(put >= 128)
        if len(rows) == 0:  # thinner than half a pixel of the input
            assert min(np.diff(x) * place.inner[0] / size[0], np.diff(y) * place.inner[1] / size[1]) < 1
            continue
        box = np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], np.float64)
        step = [size[0] / place.inner[0], size[1] / place.inner[1]] * 2
        errors = np.abs(place.back(box)[0] - [x[0], y[0], x[1], y[1]])
        assert (errors <= np.maximum(step, 1)).all()


def test_boxes_are_cut_at_the_border_of_the_picture() -> None:
    place = Letterbox.of((200, 100), (50, 50))
    assert (place.inner, place.corner) == ((50, 25), (0, 12))
    found = place.back(np.array([[0.0, 0.0, 50.0, 50.0], [10.0, 12.0, 20.0, 37.0], [0.0, 0.0, 50.0, 6.0]]))
    assert found.tolist() == [[0, 0, 200, 100], [40, 0, 80, 100], [0, 0, 200, 0]]


@pytest.mark.parametrize(
    ("calibration", "options", "expected"),
    [
        (statistics(0, 250), {}, lambda b: b),
        (statistics(0, 1), {}, lambda b: b / 255),
        (statistics(0.1, 0.7), {}, lambda b: b / 255),
        (statistics(-0.9, 1), {}, lambda b: b / 127.5 - 1),
        (statistics(-2.1, 2.6), {"mean": 100.0, "scale": 0.5}, lambda b: (b - 100) / 2),
        (statistics(0, 1), {"scale": 2}, lambda b: b * 2),
        (None, {"mean": 7}, lambda b: b - 7),
    ],
)
def test_scaling(tmp_path: Path, calibration: ImageStatistics | None, options: dict, expected: object) -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3) * 20
    made = Pictures(saved(tmp_path / "a.png", pixels), **options).prepared((3, 2, 2), calibration)
    assert (made.images.images.dtype, made.images.images.shape) == (np.float32, (1, 3, 2, 2))
    np.testing.assert_allclose(
        made.images.images[0], expected(pixels.transpose(2, 0, 1).astype(np.float64)), rtol=1e-6, atol=1e-6
    )
    assert made.note.startswith("pictures: red first, (byte - ")


def test_channels_in_the_networks_order(tmp_path: Path) -> None:
    pixels = np.array([[[10, 20, 30]]], np.uint8)
    pictures = Pictures(str(saved(tmp_path / "a.png", pixels)), mean=(1, 2, 3), scale=(1, 10, 100), bgr=True)
    made = pictures.prepared((3, 1, 1), None)
    assert made.images.images.ravel().tolist() == [29, 180, 700]
    assert made.note == "pictures: blue first, (byte - 1, 2, 3) * 1, 10, 100, as told"


def test_folders_in_the_order_of_names(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for name, value in (("b.png", 2), ("a.JPG", 1), ("c.txt", 3)):
        if name.endswith("txt"):
            (folder / name).write_text("no picture")
        else:
            Image.new("L", (2, 2), value * 50).save(folder / name)
    single = saved(tmp_path / "z.png", np.full((2, 2), 200, np.uint8))
    made = Pictures([single, folder], scale=1).prepared((1, 2, 2), None)
    assert [file.name for file in made.files] == ["z.png", "a.JPG", "b.png"]
    assert made.images.images[:, 0, 0, 0].tolist() == [200, 50, 100]
    assert [file.name for file in Pictures([folder], scale=1).prepared((1, 2, 2), None, count=1).files] == ["a.JPG"]


@pytest.mark.parametrize(
    ("options", "shape", "calibration", "message"),
    [
        ({}, (3, 2, 2), None, "does not say how bytes become numbers: expected --scale, --mean"),
        ({}, (3, 2, 2), statistics(-2.1, 2.6), "span -2.1 to 2.6, which is no usual scaling of bytes: expected --mean"),
        ({}, (1, 2, 2), statistics(0, 16), "span 0 to 16, which is no usual scaling of bytes"),
        ({}, (4, 2, 2), None, r"pictures: expected a network of images with 1 or 3 channels, not \(4, 2, 2\)"),
        ({}, (64,), None, r"pictures: expected a network of images with 1 or 3 channels, not \(64,\)"),
        ({"mean": (1, 2)}, (3, 2, 2), None, "mean: expected 1 or 3 numbers, not 2"),
        ({"scale": (1, 2, 3)}, (1, 2, 2), None, "scale: expected 1 numbers, not 3"),
        ({"scale": 1}, (3, 40000, 40000), None, "pictures: expected at most 2,048 MiB of images, not 18,310"),
    ],
)
def test_refuses(tmp_path: Path, options: dict, shape: tuple, calibration: object, message: str) -> None:
    file = saved(tmp_path / "a.png", np.zeros((2, 2), np.uint8))
    with pytest.raises(InputError, match=message):
        Pictures(file, **options).prepared(shape, calibration)


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        ([], {}, r"pictures: expected files or folders, not \[\]"),
        (5, {}, "pictures: expected files or folders, not 5"),
        ([5], {}, "pictures: expected a path, not int"),
        ("a.png", {"mean": "b"}, "mean: expected a number, or one for each channel, not 'b'"),
        ("a.png", {"mean": (float("nan"),)}, "mean: expected finite numbers, not"),
        ("a.png", {"scale": (1, 0, 1)}, "scale: expected finite numbers, none of them 0, not"),
        ("a.png", {"pad": 256}, "pad: expected"),
        ("a.png", {"bgr": 1}, "bgr: expected True or False, not 1"),
    ],
)
def test_refuses_options(files: object, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Pictures(files, **options)


def test_refuses_paths_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none.png: expected a picture or a folder of pictures, but there is none"):
        Pictures(tmp_path / "none.png", scale=1).prepared((1, 2, 2), None)
    with pytest.raises(InputError, match=r"expected pictures in it .*png.*, but there is none"):
        Pictures(tmp_path, scale=1).prepared((1, 2, 2), None)

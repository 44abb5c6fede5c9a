"""Picture files of every kind as pixels; what is no picture is refused in one line."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from roundel.golden.errors import InputError
from roundel.runtime.pictures import read_picture

RED, BLUE = (200, 40, 10), (5, 20, 220)
BACKGROUND = 100


def corner_picture() -> np.ndarray:
    """Two rows of three pixels, all different: (2, 3, 3)."""
    return np.array([[RED, BLUE, (1, 2, 3)], [(9, 8, 7), (70, 80, 90), (255, 255, 255)]], np.uint8)


def test_colours_are_red_first(tmp_path: Path) -> None:
    pixels = corner_picture()
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png", 3, 0), pixels)


def test_grey_becomes_three_equal_channels_and_colours_their_luma(tmp_path: Path) -> None:
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
    Image.fromarray(grey).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "grey.png", 3, 0), np.stack([grey] * 3, axis=-1))
    np.testing.assert_array_equal(read_picture(tmp_path / "grey.png", 1, 0), grey[..., None])
    Image.fromarray(corner_picture()).save(tmp_path / "colours.png")
    luma = corner_picture() @ np.array([0.299, 0.587, 0.114])  # ITU-R 601-2
    found = read_picture(tmp_path / "colours.png", 1, 0)[..., 0]
    assert np.abs(found - luma).max() <= 1


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "webp"])
def test_what_is_clear_shows_the_background(tmp_path: Path, mode: str) -> None:
    clear = np.array([[[200, 200, 200, 255], [30, 30, 30, 0]], [[80, 80, 80, 255], [60, 60, 60, 0]]], np.uint8)
    image = Image.fromarray(clear)
    path = tmp_path / "clear.png"
    if mode == "P":
        palette = Image.frombytes("P", (2, 2), bytes([0, 1, 2, 1]))
        palette.putpalette([200] * 3 + [30] * 3 + [80] * 3)
        palette.save(path, transparency=1)
    elif mode == "webp":
        path = path.with_suffix(".webp")
        image.save(path, lossless=True)
    else:
        image.convert(mode).save(path)
    expected = [[200, BACKGROUND], [80, BACKGROUND]]
    np.testing.assert_array_equal(read_picture(path, 1, BACKGROUND)[..., 0], expected)
    np.testing.assert_array_equal(read_picture(path, 3, BACKGROUND)[..., 2], expected)


def test_half_clear_is_mixed(tmp_path: Path) -> None:
    Image.new("RGBA", (1, 1), (200, 0, 100, 128)).save(tmp_path / "half.png")
    found = read_picture(tmp_path / "half.png", 3, BACKGROUND)[0, 0].astype(int)
    expected = np.array([200, 0, 100]) * 128 / 255 + BACKGROUND * 127 / 255
    assert np.abs(found - expected).max() <= 1


def test_bits_and_sixteen_bits(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 257 * 3], [65535, 40000]], np.uint16)).save(tmp_path / "wide.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "wide.png", 1, 0)[..., 0], [[0, 3], [255, 156]])
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "bits.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "bits.png", 3, 0)[0, :, 1], [255, 0])


@pytest.mark.parametrize(
    ("orientation", "turned"),
    [
        (1, lambda pixels: pixels),
        (2, lambda pixels: pixels[:, ::-1]),
        (3, lambda pixels: pixels[::-1, ::-1]),
        (6, lambda pixels: np.rot90(pixels, -1)),
        (8, lambda pixels: np.rot90(pixels)),
    ],
)
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_orientation_of_cameras(tmp_path: Path, orientation: int, turned: object, mode: str) -> None:
    """6: the camera stood on its right side, so that the picture has to be turned clockwise (EXIF 2.3, tag 0x0112)."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(corner_picture()).convert(mode).save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(read_picture(tmp_path / "turned.png", 3, 0), turned(corner_picture()))


def test_the_first_picture_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (2, 2), colour) for colour in (RED, BLUE)]
    frames[0].save(tmp_path / "moving.png", save_all=True, append_images=frames[1:])
    assert read_picture(tmp_path / "moving.png", 3, 0)[0, 0].tolist() == list(RED)


def png_of(width: int, height: int) -> bytes:
    """A PNG that says how large it is, and has next to no pixels."""
    parts = [b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), b"IDAT" + zlib.compress(bytes(9))]
    chunks = [struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part)) for part in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("text.png", b"these are words", "text.png: expected a picture such as PNG or JPEG, but it is none"),
        ("empty.jpg", b"", "empty.jpg: expected a picture such as PNG or JPEG, but it is none"),
        ("huge.png", png_of(60000, 60000), "huge.png: expected at most 134,217,728 pixels"),
        ("large.png", png_of(12000, 12000), "large.png: expected at most 134,217,728 pixels, not 12000 x 12000"),
        ("head.png", png_of(20, 20), "head.png: the picture is damaged or cut short: "),
    ],
    ids=lambda value: value if isinstance(value, str) and value.endswith(("png", "jpg")) else "",
)
def test_refuses_what_is_no_picture(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_picture(tmp_path / name, 3, 0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "webp", "tif"])
@pytest.mark.parametrize("part", [0.3, 0.7])
def test_refuses_what_is_cut_short(tmp_path: Path, suffix: str, part: float, seed: int) -> None:
    pixels = np.random.default_rng([seed, 7]).integers(0, 256, (40, 50, 3), np.uint8)
    path = tmp_path / f"cut.{suffix}"
    Image.fromarray(pixels).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(InputError, match=rf"cut.{suffix}: (the picture is damaged|expected a picture)"):
        read_picture(path, 3, 0)


def test_refuses_real_numbers_and_missing_files(tmp_path: Path) -> None:
    Image.fromarray(np.ones((2, 2), np.float32)).save(tmp_path / "real.tif")
    with pytest.raises(InputError, match=r"real.tif: the picture is damaged or cut short: its pixels are real numbers"):
        read_picture(tmp_path / "real.tif", 1, 0)
    with pytest.raises(InputError, match=r"none.png: expected a picture, but there is none"):
        read_picture(tmp_path / "none.png", 1, 0)

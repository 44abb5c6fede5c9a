"""Images for the zoo: photographs that scikit-image and scikit-learn ship, faces, rendered glyphs and pages.

All of them follow from a seed. Sizes are (rows, columns), colours 0 to 255 with red first.
"""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from examples.zoo.models import BYTES, HALF, IMAGENET, STEPS, UNIT, Model

PHOTOS = {
    "scikit-image": [
        f"skimage/data/{name}"
        for name in ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg", "retina.jpg")
    ],
    "scikit-learn": ["sklearn/datasets/images/china.jpg", "sklearn/datasets/images/flower.jpg"],
}
"""Photographs by the wheel that they are in."""
FACES = ("scikit-image", "skimage/data/lfw_subset.npy")
FACE_COUNT = 100  # of the file's patches of 25 x 25 the first half are faces
FONTS = ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSerif.ttf", "DejaVuSerif-Bold.ttf", "DejaVuSansMono.ttf")
LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghkmnpqrstuvwxyz23456789ЖЩФЯЮЛДБΩΨΣΔΞאשלمعصط"
WORDS = "the engine reads every image once and writes what it saw beside the boxes of all words that stand on a page"
SCALINGS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    BYTES: ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    UNIT: ((0.0, 0.0, 0.0), (255.0, 255.0, 255.0)),
    HALF: ((127.5, 127.5, 127.5), (127.5, 127.5, 127.5)),
    STEPS: ((127.5, 127.5, 127.5), (128.0, 128.0, 128.0)),
    IMAGENET: ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
}
"""Mean and divisor of each channel."""

Pixels = NDArray[np.uint8]
Size = tuple[int, int]
Unpack = Callable[[str, str], Path]
"""Gives a file of a wheel: `unpack(package, path)`."""


def images(model: Model, count: int, seed: int, unpack: Unpack) -> NDArray[np.float32]:
    """Images as a network takes them.

    Parameters
    ----------
    model
        The network.
    count
        How many.
    seed
        Other seeds give others.
    unpack
        Gives the photographs.

    Returns
    -------
    array
        (count, channels, rows, columns).
    """
    rng = np.random.default_rng(seed)
    size = model.shape[1:]
    draw = {"photos": photo, "faces": faces, "glyphs": _glyphs_alone, "pages": page}[model.pictures]
    pixels = np.stack([draw(size, rng, unpack) for _ in range(count)])
    return scaled(pixels, model)


def scaled(pixels: NDArray[Any], model: Model) -> NDArray[np.float32]:
    """Images (count, rows, columns, 3) of bytes as (count, 3, rows, columns) that a network takes."""
    means, divisors = SCALINGS[model.scaling]
    values = (pixels.astype(np.float32) - np.float32(means)) / np.float32(divisors)
    values = values[..., ::-1] if model.reversed_channels else values
    return np.ascontiguousarray(values.transpose(0, 3, 1, 2), np.float32)


@lru_cache(maxsize=32)
def _photograph(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        return picture.convert("RGB")


def photo(size: Size, rng: np.random.Generator, unpack: Unpack) -> Pixels:
    """A part of a photograph, between half of its shorter side and all of it, mirrored or not."""
    places = [(package, path) for package, paths in PHOTOS.items() for path in paths]
    picture = _photograph(unpack(*places[rng.integers(len(places))]))
    rows, columns = size
    reach = min(picture.width / columns, picture.height / rows) * rng.uniform(0.5, 1)
    width, height = columns * reach, rows * reach
    left, top = rng.uniform(0, picture.width - width), rng.uniform(0, picture.height - height)
    part = picture.resize((columns, rows), Image.Resampling.BILINEAR, (left, top, left + width, top + height))
    pixels = np.asarray(part)
    return pixels[:, ::-1] if rng.random() < 0.5 else pixels


def faces(size: Size, rng: np.random.Generator, unpack: Unpack) -> Pixels:
    """A photograph on which three to eight faces lie, enlarged to 40 to 120 pixels."""
    with open(unpack(*FACES), "rb") as file:
        patches = np.load(file)[:FACE_COUNT]
    canvas = Image.fromarray(photo(size, rng, unpack))
    for _ in range(rng.integers(3, 9)):
        patch = patches[rng.integers(len(patches))]
        grey = Image.fromarray((np.clip(patch, 0, 1) * 255).astype(np.uint8))
        side = int(min(rng.integers(40, 121), min(size) // 2))
        place = int(rng.integers(size[1] - side)), int(rng.integers(size[0] - side))
        canvas.paste(grey.resize((side, side), Image.Resampling.BICUBIC).convert("RGB"), place)
    return np.asarray(canvas)


def glyphs(size: Size, rng: np.random.Generator, *, least: int = 3, most: int = 7) -> Pixels:
    """Letters in many colours, turned, on a background of waves, bars and noise: as puzzles of log-in pages have them.

    Parameters
    ----------
    size
        (rows, columns).
    rng
        What is drawn follows from it.
    least, most
        How many letters.
    """
    rows, columns = size
    y, x = np.mgrid[0:rows, 0:columns]
    waves = [np.sin(x * a + y * b + c) for a, b, c in rng.uniform(-0.08, 0.08, (3, 3)) * (1, 1, 40)]
    base = rng.uniform(60, 200, 3) + rng.uniform(10, 50) * np.stack(waves, -1)
    pixels = np.clip(base + rng.normal(0, rng.uniform(2, 14), (rows, columns, 1)), 0, 255).astype(np.uint8)
    canvas = Image.fromarray(pixels)
    draw = ImageDraw.Draw(canvas)
    for _ in range(rng.integers(2, 8)):
        ends = rng.integers(0, (columns, rows, columns, rows)).tolist()
        draw.line(ends, fill=_colour(rng), width=int(rng.integers(1, 4)))
    for _ in range(rng.integers(least, most + 1)):
        _put_letter(canvas, rng)
    return np.asarray(canvas)


def _glyphs_alone(size: Size, rng: np.random.Generator, _unpack: Unpack) -> Pixels:
    return glyphs(size, rng)


def _put_letter(canvas: Image.Image, rng: np.random.Generator) -> None:
    side = max(6, int(min(canvas.size) * rng.uniform(0.12, 0.26)))
    sheet = Image.new("L", (2 * side, 2 * side))
    letter = LETTERS[rng.integers(len(LETTERS))]
    ImageDraw.Draw(sheet).text((side, side), letter, fill=255, font=_font(rng, side), anchor="mm")
    sheet = sheet.rotate(rng.uniform(-45, 45), Image.Resampling.BILINEAR)
    place = tuple(int(rng.integers(-side // 2, length - 3 * side // 2)) for length in canvas.size)
    canvas.paste(_colour(rng), (place[0], place[1], place[0] + 2 * side, place[1] + 2 * side), sheet)


def page(size: Size, rng: np.random.Generator, unpack: Unpack) -> Pixels:
    """Lines of words on paper, or on a photograph that is pale."""
    rows, columns = size
    paper = np.full((rows, columns, 3), rng.uniform(190, 255, 3)).astype(np.uint8)
    if rng.random() < 0.4:
        paper = (180 + 0.3 * photo(size, rng, unpack)).clip(0, 255).astype(np.uint8)
    canvas = Image.fromarray(paper)
    draw, words = ImageDraw.Draw(canvas), WORDS.split()
    top = int(rng.integers(4, 24))
    while top < rows - 12:
        height = int(rng.integers(11, 34))
        text = " ".join(words[place] for place in rng.integers(0, len(words), rng.integers(2, 7)))
        left = int(rng.integers(2, columns // 3))
        draw.text((left, top), text, fill=tuple(rng.integers(0, 110, 3).tolist()), font=_font(rng, height))
        top += height + int(rng.integers(6, 30))
    return np.asarray(canvas)


def _colour(rng: np.random.Generator) -> tuple[int, ...]:
    return tuple(rng.integers(0, 256, 3).tolist())


def _font(rng: np.random.Generator, size: int) -> ImageFont.FreeTypeFont:
    name: str = FONTS[rng.integers(len(FONTS))]
    return _face(name, size)


@lru_cache(maxsize=512)
def _face(name: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size)

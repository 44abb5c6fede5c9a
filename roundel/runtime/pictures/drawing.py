"""Boxes drawn into a picture: a colour for each class, its name and its probability above."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from roundel.golden.nms import Floats
from roundel.runtime.pictures.reading import read_picture

COLOURS = (
    "#4cc9f0", "#f72585", "#b8f35d", "#ffb703", "#9d7bff", "#2ec4b6", "#ff7b54", "#f5f749", "#ff9bd2", "#8ecae6",
)  # fmt: skip
INK = "#10141a"
WHITE = 255
LEAST = 480  # pixels of the longer side, below which a picture is drawn larger, by a whole factor
FINE = 320  # a line is that part of the longer side wide
LETTER = 45  # and letters are that part of it high
SMALLEST = 11  # letters that can be read, pixels
Corners = tuple[int, int, int, int]


def draw_boxes(
    path: Path,
    file: Path,
    boxes: Floats,
    names: Sequence[str],
    labels: Sequence[int],
    probabilities: Sequence[float],
) -> None:
    """Draw a picture with its boxes.

    Parameters
    ----------
    path
        The PNG that is written.
    file
        The picture.
    boxes
        Corners in pixels of the picture, (n, 4).
    names, labels
        Of the class of each: what is written, and the number that chooses the colour.
    probabilities
        Of each; the most probable is drawn last.

    Raises
    ------
    InputError
        The picture cannot be read any more.
    """
    image = Image.fromarray(read_picture(file, 3, WHITE))
    larger = max(1, -(-LEAST // max(image.size)))
    image = image.resize((image.width * larger, image.height * larger), Image.Resampling.NEAREST)
    canvas, longer = ImageDraw.Draw(image), max(image.size)
    width, font = max(1, round(longer / FINE)), _font(max(SMALLEST, longer // LETTER))
    for place in np.argsort(probabilities, kind="stable"):
        colour = COLOURS[labels[place] % len(COLOURS)]
        corners = _whole(boxes[place] * larger, image.size)
        canvas.rectangle(corners, outline=colour, width=width)
        _label(canvas, corners, f"{names[place]} {probabilities[place]:.2f}", colour, font)
    image.save(path, format="PNG")


def _whole(box: NDArray[np.float64], size: tuple[int, int]) -> Corners:
    """Return the pixels at the ends of a box, within the picture, the second ones not before the first."""
    x1, y1, x2, y2 = (int(value) for value in np.rint(box))
    x1, y1 = min(max(x1, 0), size[0] - 1), min(max(y1, 0), size[1] - 1)
    return x1, y1, min(max(x2 - 1, x1), size[0] - 1), min(max(y2 - 1, y1), size[1] - 1)


def _label(
    canvas: ImageDraw.ImageDraw,
    corners: tuple[int, int, int, int],
    text: str,
    colour: str,
    font: ImageFont.FreeTypeFont,
) -> None:
    """Write a text above a box, or inside of it where there is no room above, and within the picture."""
    left, top, right, bottom = canvas.textbbox((0, 0), text, font=font)
    width, height = right - left + 4, bottom - top + 4
    x = max(0, min(corners[0], canvas.im.size[0] - int(width)))
    y = corners[1] - int(height) if corners[1] >= height else corners[1]
    canvas.rectangle((x, y, x + width, y + height), fill=colour)
    canvas.text((x + 2 - left, y + 2 - top), text, fill=INK, font=font)


def _font(size: int) -> ImageFont.FreeTypeFont:
    """Return the sans serif that matplotlib ships, which has the letters of most alphabets."""
    import matplotlib as mpl  # takes a third of a second

    return ImageFont.truetype(Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)

"""Pixels of picture files: any format that Pillow reads, upright, grey or in colours, over a background where clear."""

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from roundel.golden.errors import InputError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
"""Ends of the names of pictures in a folder."""
MODES = {1: "L", 3: "RGB"}
"""What Pillow calls pictures of so many channels."""
MOST_PIXELS = 1 << 27
"""Of one picture: a file of a kilobyte can hold gigabytes."""
Pixels = NDArray[np.uint8]


def picture_files(paths: tuple[Path, ...]) -> tuple[Path, ...]:
    """Return the files, with those of each folder in the order of their names in its place.

    Raises
    ------
    InputError
        A path that is not there, or a folder without pictures.
    """
    files = list[Path]()
    for path in paths:
        if path.is_dir():
            inside = sorted(item for item in path.iterdir() if item.suffix.lower() in SUFFIXES and item.is_file())
            if not inside:
                raise InputError(f"{path}: expected pictures in it (*{', *'.join(SUFFIXES)}), but there is none")
            files += inside
        elif path.is_file():
            files.append(path)
        else:
            raise InputError(f"{path}: expected a picture or a folder of pictures, but there is none")
    return tuple(files)


def read_picture(path: Path, channels: int, background: int) -> Pixels:
    """Return the pixels of a picture, (rows, columns, channels), as it is meant to be seen.

    [R] Of 16 bits the upper 8 count. Of an animation the first picture counts. What is clear shows the background. The
    orientation that a camera notes (EXIF) is applied.

    Parameters
    ----------
    path
        The file.
    channels
        1: grey; 3: red, green, blue.
    background
        0 to 255.

    Raises
    ------
    InputError
        The file is missing, no picture, damaged, or has more than `MOST_PIXELS` pixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd tags; sizes are looked at here
            with Image.open(path) as image:
                if image.width * image.height > MOST_PIXELS:
                    raise InputError(
                        f"{path}: expected at most {MOST_PIXELS:,} pixels, not {image.width} x {image.height}: "
                        "make the picture smaller"
                    )
                upright = _opaque(_bytes(ImageOps.exif_transpose(image)), background)
        return np.asarray(upright.convert(MODES[channels])).reshape(upright.height, upright.width, channels)
    except InputError:
        raise
    except UnidentifiedImageError:
        raise InputError(f"{path}: expected a picture such as PNG or JPEG, but it is none") from None
    except FileNotFoundError:
        raise InputError(f"{path}: expected a picture, but there is none") from None
    except Image.DecompressionBombError:
        raise InputError(f"{path}: expected at most {MOST_PIXELS:,} pixels: make the picture smaller") from None
    except Exception as error:  # decoders of damaged files raise one of a dozen kinds
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise InputError(f"{path}: the picture is damaged or cut short: {reason}") from None


def _bytes(image: Image.Image) -> Image.Image:
    """Return a picture of bytes; ValueError for real numbers, of which nothing says what is white."""
    if image.mode == "F":
        raise ValueError("its pixels are real numbers, expected bytes")
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image).astype(np.int64)
    wide = values.max(initial=0) > 255
    return Image.fromarray((np.clip(values, 0, 65535) >> (8 if wide else 0)).astype(np.uint8))


def _opaque(image: Image.Image, background: int) -> Image.Image:
    """Return a picture without a channel of opacity."""
    if not image.has_transparency_data:
        return image
    clear = image.convert("RGBA")
    ground = Image.new("RGBA", clear.size, (background, background, background, 255))
    return Image.alpha_composite(ground, clear).convert("RGB")

"""Pictures made into a network's images: letterboxed, and scaled as the calibration images were."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from math import isfinite
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from roundel.golden.errors import InputError
from roundel.graph import MAX_NPZ, Images, integer_of
from roundel.quantization import ImageStatistics
from roundel.runtime.pictures.letterbox import Letterbox
from roundel.runtime.pictures.reading import MODES, picture_files, read_picture
from roundel.ui import path_of

PictureSource: TypeAlias = str | Path | Sequence[str | Path]
"""A picture's file, a folder of pictures, or several of both."""
PAD = 114  # the grey that the YOLO family fills with
BRIGHT = 128  # of bytes, which images that are bytes as they are surely reach
IMAGENET = "--mean 123.675,116.28,103.53 --scale 0.017125,0.017507,0.017429 is that of networks trained on ImageNet"


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """Pictures as a network takes them.

    Attributes
    ----------
    images
        (count, channels, rows, columns), float32.
    files
        The file of each.
    places
        Where each lies in the input.
    note
        How bytes became numbers.
    """

    images: Images
    files: tuple[Path, ...]
    places: tuple[Letterbox, ...]
    note: str


@dataclass(frozen=True)
class Pictures:
    """Pictures to run a network on, and how they become its input: `(byte - mean) * scale`.

    Parameters
    ----------
    files
        A file, a folder, or several; of a folder all pictures, in the order of their names.
    mean, scale
        A number, or one for each channel in the network's order. None: what the range of the calibration images
        tells, 0 to 255, 0 to 1 or -1 to 1.
    bgr
        Whether the network takes blue first, not red.
    pad
        The byte around a picture that has not the shape of the input, and behind what is clear, 0 to 255.

    Raises
    ------
    InputError
        A value of the wrong kind or out of range.
    """

    files: PictureSource
    _: KW_ONLY
    mean: float | Sequence[float] | None = None
    scale: float | Sequence[float] | None = None
    bgr: bool = False
    pad: int = PAD

    def __post_init__(self) -> None:
        given = [self.files] if isinstance(self.files, str | Path) else self.files
        if not isinstance(given, Sequence) or not given:
            raise InputError(f"pictures: expected files or folders, not {self.files!r}")
        object.__setattr__(self, "files", tuple(path_of("pictures", file) for file in given))
        for name in ("mean", "scale"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _numbers(name, getattr(self, name)))
        if not isinstance(self.bgr, bool):
            raise InputError(f"bgr: expected True or False, not {self.bgr!r}")
        integer_of("pad", self.pad, 0, 255)

    def prepared(
        self, shape: tuple[int, ...], calibration: ImageStatistics | None, count: int | None = None
    ) -> Prepared:
        """Read all pictures and make them the images of a network.

        Parameters
        ----------
        shape
            Of an image: (channels, rows, columns), 1 or 3 channels.
        calibration
            Figures of the calibration images, where they are known.
        count
            How many to read, the first ones; None: all.

        Returns
        -------
        Prepared
            The images, and where each picture lies in its image.

        Raises
        ------
        InputError
            A network of another input, a bad file, nothing that says how bytes become numbers, or more pictures than
            memory: one line, before any is decoded where that is possible.
        """
        if len(shape) != 3 or shape[0] not in MODES:
            raise InputError(f"pictures: expected a network of images with 1 or 3 channels, not {shape}")
        channels, rows, columns = shape
        mean, scale, why = self._scaling(channels, calibration)
        files = picture_files(self.files)[:count]  # type: ignore[arg-type]  # __post_init__ made paths of them
        if (size := len(files) * channels * rows * columns * 4) > MAX_NPZ:
            told = f"expected at most {MAX_NPZ >> 20:,} MiB of images, not {size >> 20:,}"
            raise InputError(f"pictures: {told}: run fewer at a time")
        images = np.empty((len(files), *shape), np.float32)
        places = []
        for place, file in enumerate(files):
            pixels = read_picture(file, channels, self.pad)
            places.append(Letterbox.of((pixels.shape[1], pixels.shape[0]), (columns, rows)))
            put = places[-1].put(pixels, self.pad)
            images[place] = (np.moveaxis(put[..., ::-1] if self.bgr else put, -1, 0) - mean) * scale
        named = Images(images=images, labels=None, file=str(files[0]) if len(files) == 1 else "pictures")
        return Prepared(images=named, files=files, places=tuple(places), note=why)

    def _scaling(
        self, channels: int, calibration: ImageStatistics | None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], str]:
        """Return mean and factor of each channel, (channels, 1, 1), and what they were taken from."""
        mean, scale, why = self.mean, self.scale, "as told"
        if mean is None and scale is None:
            mean, scale, why = _usual(calibration)
        order = "blue first" if self.bgr else "red first" if channels == 3 else "grey"
        start = _by_channel("mean", 0.0 if mean is None else mean, channels)
        factor = _by_channel("scale", 1.0 if scale is None else scale, channels)
        return start, factor, f"pictures: {order}, (byte - {_told(start)}) * {_told(factor)}, {why}"


def _usual(calibration: ImageStatistics | None) -> tuple[float, float, str]:
    """Return mean and factor that the range of the calibration images tells, and that in words."""
    if calibration is None:
        raise InputError("pictures: the network's file does not say how bytes become numbers: expected --scale, --mean")
    least, greatest = calibration.least, calibration.greatest
    why = f"as the calibration images span {calibration.span}"
    if least >= 0 and BRIGHT <= greatest <= 255:
        return 0.0, 1.0, why
    if least >= 0 and 0 < greatest <= 1:
        return 0.0, 1 / 255, why
    if -1 <= least < 0 < greatest <= 1:
        return 127.5, 1 / 127.5, why
    raise InputError(
        f"pictures: the calibration images span {calibration.span}, which is no usual scaling of bytes: "
        f"expected --mean and --scale; {IMAGENET}"
    )


def _numbers(name: str, values: Any) -> tuple[float, ...]:
    """Return finite numbers that a user gave."""
    given = values if isinstance(values, list | tuple) else [values]
    if not given or any(isinstance(item, bool) or not isinstance(item, int | float) for item in given):
        raise InputError(f"{name}: expected a number, or one for each channel, not {values!r}")
    if not all(map(isfinite, given)) or (name == "scale" and 0 in given):
        raise InputError(f"{name}: expected finite numbers{', none of them 0' * (name == 'scale')}, not {values!r}")
    return tuple(map(float, given))


def _told(values: NDArray[np.float32]) -> str:
    different = dict.fromkeys(values.ravel().tolist())
    return ", ".join(f"{number:.6g}" for number in (values.ravel().tolist() if len(different) > 1 else different))


def _by_channel(name: str, values: Any, channels: int) -> NDArray[np.float32]:
    """Return a number for each channel, (channels, 1, 1)."""
    given = np.atleast_1d(np.asarray(values, np.float32))
    if len(given) not in (1, channels):
        raise InputError(f"{name}: expected {'1' if channels == 1 else f'1 or {channels}'} numbers, not {len(given)}")
    return np.asarray(np.broadcast_to(given, channels).reshape(-1, 1, 1))

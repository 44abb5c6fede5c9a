"""How many boxes of a float detector its integer network has too: `python -m examples.zoo.agreement`.

The file goes from `compress` to the boxes of `run` as it was shipped, on golden: no file of a head is written by hand.
The float network's boxes are those of the same head in onnxruntime, decoded in double precision. Images calibrated
nothing.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import roundel
from examples.zoo import rival
from examples.zoo.files import Files
from examples.zoo.images import images
from examples.zoo.models import Model, named
from examples.zoo.precision import LEVELS, Floats, overlaps
from roundel.frontend import examine, prepare
from roundel.golden.errors import InputError, ToolError
from roundel.processes import cache_root
from roundel.recognition import Recognised, recognise, split_model
from roundel.runtime import engine_choice
from roundel.ui import markdown_table

DETECTORS = ("common_det", "centerface")
CALIBRATION_SEED, SEED = 1, 11
FORMS: Mapping[str, Mapping[str, Any]] = {
    "a shift for each layer": {},
    "a shift for each channel": {"per_channel": True},
}
HEADS = ("integer network", "its boxes", *(f"float boxes found, IoU >= {level:g}" for level in LEVELS))


def main(arguments: Sequence[str] | None = None) -> None:
    reader = argparse.ArgumentParser(
        prog="python -m examples.zoo.agreement", description=(__doc__ or "").partition("\n")[0]
    )
    reader.add_argument("model", nargs="?", default=DETECTORS[0], choices=DETECTORS, help="the detector")
    reader.add_argument("--images", type=int, default=60, help="rendered images")
    reader.add_argument("--calibration", type=int, default=4, help="images that choose formats")
    reader.add_argument("--size", type=int, nargs=2, metavar=("ROWS", "COLUMNS"), help="of the images; the file's own")
    reader.add_argument("--budget", metavar="COST=RATIO", help="a budget on `medium` of 4-bit arrays beside 8 bits")
    options = reader.parse_args(arguments)
    forms = FORMS if options.budget is None else _budgets(options.budget)
    model = named(options.model)
    if options.size:
        model = replace(model, shape=(3, *options.size))
    try:
        print("\n".join(compared(model, Files(cache_root() / "zoo"), options.images, options.calibration, forms)))
    except (InputError, ToolError) as error:
        sys.exit(f"zoo: {error}")


def _budgets(budget: str) -> Mapping[str, Mapping[str, Any]]:
    """Return integer networks for 4-bit arrays, a shift for each channel: all weights of 8 bits, of 4, and a budget."""
    narrow = {"engine": engine_choice({"config": "medium", "weight_width": 4}), "per_channel": True}
    return {
        "8 bits": narrow | {"clip_digits": True},
        budget: narrow | {"budget": budget},
        "4 bits": narrow | {"weight_bits": 4},
    }


def compared(
    model: Model, files: Files, count: int, calibration: int, forms: Mapping[str, Mapping[str, Any]] = FORMS
) -> list[str]:
    """The table: a row for each integer network.

    Parameters
    ----------
    model, files
        The detector, and where its file is.
    count, calibration
        Images that are compared, and others that choose formats.
    forms
        Options of `roundel.compress` for each row, by its name.
    """
    file, shape = str(files.model(model)), (1, *model.shape)
    pictures = images(model, count, SEED, files.unpack)
    truth = _float_boxes(file, shape, pictures)
    objects = sum(map(len, truth))
    rows = []
    for name, options in forms.items():
        small = roundel.compress(
            file, images(model, calibration, CALIBRATION_SEED, files.unpack), input_shape=shape, host="any", **options
        )
        boxes = roundel.run(small, pictures).boxes
        assert boxes is not None
        found = [boxes["boxes"][boxes["image_ids"] == number] for number in range(count)]
        shares = [sum(map(_found, truth, found, [level] * count)) / max(objects, 1) for level in LEVELS]
        rows.append([name, str(sum(map(len, found))), *(f"{100 * share:.1f} %" for share in shares)])
    told = f"{model.name}, {model.shape[1]} x {model.shape[2]}: {count} images, {objects} boxes of the float network."
    return [told, "", *markdown_table(list(HEADS), rows)]


def _float_boxes(file: str, shape: tuple[int, ...], pictures: NDArray[np.float32]) -> list[Floats]:
    """The boxes of every image that the float network has, after suppression."""
    found = recognise(examine(prepare(file, input_shape=shape)))
    if not isinstance(found, Recognised):
        raise InputError(f"{file}: {found.why if found else 'it has no head'}")
    session = rival.Float(split_model(found).proto)
    boxes = found.detector.detections(session.run(pictures))
    return [item.boxes[found.detector.kept(item)] for item in boxes]


def _found(truth: Floats, boxes: Floats, level: float) -> int:
    """How many boxes of an image overlap one of others at least by a level."""
    return int((overlaps(truth, boxes).max(axis=1, initial=0) >= level).sum()) if len(truth) else 0


if __name__ == "__main__":
    main()

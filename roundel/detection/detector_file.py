"""The file of a detector (TOML, docs/detectors.md): read and written."""

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from roundel.detection.detector import Detector
from roundel.detection.forms import HeadForm
from roundel.detection.scale import Scale
from roundel.detection.sizing import suppression
from roundel.golden.errors import InputError
from roundel.golden.nms import BoxFormat, NmsParams, TopKParams
from roundel.ui import path_of, toml_lines, toml_value

NEEDED = {"classes": list, "threshold": float | int, "scales": list}
FORM = tuple(item.name for item in fields(HeadForm))
NMS = "nms"


def load(path: str | Path, image: tuple[int, int] | None = None) -> Detector:
    """Read a detector's file.

    Parameters
    ----------
    path
        The file.
    image
        Width and height of the network's images, where they are known: `nms.format` may leave them out then, and must
        not have others.

    Raises
    ------
    InputError
        It is missing or damaged, or a field of it is missing, unknown or bad: one line with file and field.
    """
    path = path_of("head", path, expected="a detector, or the path of its file")
    try:
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected a readable text file: {type(error).__name__}") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not a valid TOML file: {error}") from None
    for name in sorted(NEEDED.keys() - values.keys()):
        raise InputError(f"{path}: {name}: is missing")
    for name in sorted(values.keys() - NEEDED.keys() - {NMS, *FORM}):
        raise InputError(f"{path}: {name}: is unknown")
    for name, kind in NEEDED.items():
        if not isinstance(values[name], kind):
            raise InputError(f"{path}: {name}: expected a {getattr(kind, '__name__', 'number')}, not {values[name]!r}")
    where = "scales"
    try:
        scales = tuple(Scale(**scale) for scale in values["scales"])
        where = "form"
        form = HeadForm(**{name: values[name] for name in FORM if name in values})
        where = "nms"
        given = _nms(values.get(NMS, {}), image)
        suppresses = given.get("method") != TopKParams.METHOD
        size = BoxFormat(**given["format"] | {"classes": 1})
        where = "detector"
        bare = Detector(
            file=str(path),
            text=text,
            classes=tuple(values["classes"]),
            threshold=values["threshold"],
            scales=scales,
            nms=NmsParams(format=replace(size, classes=max(1, len(values["classes"])))),
            form=form,
            suppresses=suppresses,
        )
        where = "nms"
        nms = suppression(form, given, classes=len(bare.classes), suppresses=suppresses, boxes=bare.most_boxes)
        where = "detector"
        return replace(bare, nms=nms)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: {where}: {error}") from None


def _nms(values: Any, image: tuple[int, int] | None) -> dict[str, Any]:
    """Return the parameters of the suppression unit that a file has, and the size of the image."""
    form = values.get("format", {}) if isinstance(values, dict) else None
    if not isinstance(form, dict):
        raise TypeError(f"expected a table with the table format, not {values!r}")
    for name, side in zip(("width", "height"), image or (None, None), strict=True):
        if side is not None and form.get(name, side) != side:
            raise ValueError(f"format.{name} is {form[name]}, but the network's images have {side}")
        if name not in form and side is None:
            raise ValueError(f"format.{name} is missing")
    known = {} if image is None else {"width": image[0], "height": image[1]}
    return {**values, "format": known | form}


def written(detector: Detector, notes: Sequence[str] = ()) -> str:
    """Return the text of a detector's file; `load` reads the same detector from it.

    Parameters
    ----------
    detector
        What to write. Of its form and scales, what is as by default is left out.
    notes
        Lines of comment at the top.
    """
    return "\n".join(_lines(detector, notes)) + "\n"


def _lines(detector: Detector, notes: Sequence[str]) -> Iterator[str]:
    yield from (f"# {note}" for note in notes)
    yield f"classes = {toml_value(list(detector.classes))}"
    yield f"threshold = {toml_value(float(detector.threshold))}"
    default = HeadForm()
    for name in FORM:
        value = getattr(detector.form, name)
        if value is not None and (value != getattr(default, name) or name in ("score", "box")):
            yield f"{name} = {toml_value(value)}"
    for scale in detector.scales:
        yield from ("", "[[scales]]")
        for item in fields(Scale):
            value = getattr(scale, item.name)
            if value != item.default:
                yield f"{item.name} = {toml_value(value)}"
    yield from toml_lines(detector.nms.as_dict(), NMS)

"""The file of a detector (TOML, docs/detectors.md): read and written."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from roundel.detection.detector import Detector
from roundel.detection.forms import HeadForm
from roundel.detection.scale import Scale
from roundel.golden.errors import InputError
from roundel.golden.nms import NmsParams
from roundel.golden.parameters import plain
from roundel.ui import path_of

NEEDED = {"classes": list, "threshold": float | int, "scales": list, "nms": dict}
FORM = tuple(item.name for item in fields(HeadForm))
NO_METHOD = "none"  # of suppression, for one-to-one heads


def load(path: str | Path) -> Detector:
    """Read a detector's file.

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
    for name in sorted(values.keys() - NEEDED.keys() - set(FORM)):
        raise InputError(f"{path}: {name}: is unknown")
    for name, kind in NEEDED.items():
        if not isinstance(values[name], kind):
            raise InputError(f"{path}: {name}: expected a {getattr(kind, '__name__', 'number')}, not {values[name]!r}")
    where = "scales"
    try:
        scales = tuple(Scale(**scale) for scale in values["scales"])
        where = "nms"
        suppresses = values["nms"].get("method") != NO_METHOD
        nms = NmsParams(**{name: value for name, value in values["nms"].items() if suppresses or name != "method"})
        where = "form"
        form = HeadForm(**{name: values[name] for name in FORM if name in values})
        where = "detector"
        return Detector(
            file=str(path),
            text=text,
            classes=tuple(values["classes"]),
            threshold=values["threshold"],
            scales=scales,
            nms=nms,
            form=form,
            suppresses=suppresses,
        )
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: {where}: {error}") from None


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
    yield f"classes = {_value(list(detector.classes))}"
    yield f"threshold = {_value(float(detector.threshold))}"
    default = HeadForm()
    for name in FORM:
        value = getattr(detector.form, name)
        if value is not None and (value != getattr(default, name) or name in ("score", "box")):
            yield f"{name} = {_value(value)}"
    for scale in detector.scales:
        yield from ("", "[[scales]]")
        for item in fields(Scale):
            value = getattr(scale, item.name)
            if value != item.default:
                yield f"{item.name} = {_value(value)}"
    nms = detector.nms.as_dict()
    form = nms.pop("format")
    yield from ("", "[nms]")
    if not detector.suppresses:
        nms["method"] = NO_METHOD
    yield from (f"{name} = {_value(value)}" for name, value in nms.items() if value is not None)
    yield from ("", "[nms.format]")
    yield from (f"{name} = {_value(value)}" for name, value in form.items())


def _value(value: Any) -> str:
    """Return a value as TOML writes it."""
    value = plain(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        escaped = "".join(char if char.isprintable() and char not in '"\\' else f"\\U{ord(char):08x}" for char in value)
        return f'"{escaped}"'
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name} = {_value(item)}" for name, item in value.items() if item is not None) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return repr(value)

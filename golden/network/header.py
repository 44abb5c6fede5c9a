"""Integer layers as JSON, and back: the header of a network file (docs/network_file.md), field by field.

What a field may hold follows from its type in the layer's dataclass; what it must hold together with others is checked
by the layer itself. Arrays stand beside the header, by name.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields
from enum import Enum
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.golden.activation import ActivationTable, Fold
from roundel.golden.formats import Format
from roundel.golden.network.activated import Activated
from roundel.golden.network.base import Layer
from roundel.golden.network.conv import Window
from roundel.golden.network.encoding import Encoding, InputRounding
from roundel.golden.network.gate import Gate
from roundel.golden.network.join import Add, Concat
from roundel.golden.network.moves import DepthToSpace, Fill, Select
from roundel.golden.network.pool import AveragePool, Flatten, Interpolate, MaxPool, Upsample
from roundel.golden.network.weighted import Weighted
from roundel.golden.parameters import check_bool, check_integer, choice
from roundel.golden.requant import Scheme
from roundel.golden.rounding import Ints, Rounding

Arrays = dict[str, NDArray[Any]]
Read = Callable[[object], Any]

KINDS: Mapping[str, type[Layer]] = MappingProxyType(
    {
        "weighted": Weighted,
        "add": Add,
        "concat": Concat,
        "average_pool": AveragePool,
        "max_pool": MaxPool,
        "upsample": Upsample,
        "fill": Fill,
        "flatten": Flatten,
        "select": Select,
        "depth_to_space": DepthToSpace,
        "gate": Gate,
        "interpolate": Interpolate,
    }
)
NEWER = (Select, DepthToSpace, Fill, Gate, Interpolate)
"""Kinds that files of version 1 do not have."""
OPTIONAL: Mapping[str, int] = MappingProxyType({"activation": 2, "total": 3})
"""The fields that stand in a file only where a layer has such a thing, and the first version that knows them."""
ARRAYS = MappingProxyType({"weights": "w", "bias": "b"})  # the fields that are arrays, and that of the format of each


def write_layer(index: int, layer: Layer, arrays: Arrays) -> dict[str, Any]:
    """Return the entry of layer number `index`; its arrays go into `arrays`."""
    kind = next(name for name, known in KINDS.items() if type(layer) is known)
    stored: dict[str, Any] = {"kind": kind}
    for field in fields(layer):
        value = getattr(layer, field.name)
        if field.name in OPTIONAL and value is None:
            continue
        if field.name in ARRAYS:
            name = f"{index}.{field.name}"
            arrays[name] = np.ascontiguousarray(value, dtype=array_type(getattr(layer, ARRAYS[field.name])))
            stored[field.name] = name
        else:
            stored[field.name] = write_value(value)
    return stored


def read_layer(index: int, stored: object, arrays: Arrays, version: int) -> Layer:
    """Layer number `index` of a file of `version`; its arrays leave `arrays`. ValueError that names the field."""
    entry = read_object(stored)
    kind = KINDS.get(read_string(entry.pop("kind", "")))
    if kind is None:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}")
    if version < 3 and kind in (Add, Concat) and entry.get("requant") != Scheme.SHIFT.value:
        raise ValueError("sums and concatenations that rescale are others since version 3: compress the network again")
    for name in OPTIONAL.keys() & {field.name for field in fields(kind)}:
        if name in entry and entry[name] is None:
            raise ValueError(f"{name} must be left out where there is none")
        entry.setdefault(name, None)
    values = _read_fields(kind, entry, ARRAYS)
    for name in ARRAYS.keys() & entry.keys():
        values[name] = _read_array(f"{index}.{name}", entry[name], values[ARRAYS[name]], arrays)
    layer = kind(**values)
    if version < needed_version(layer):
        what = "an activation" if getattr(layer, "activation", None) else "a layer of this kind"
        raise ValueError(f"{what} needs version {needed_version(layer)} of the file")
    return layer


def needed_version(layer: Layer) -> int:
    """Return the version of a file that can hold a layer.

    Sums and concatenations that rescale are others since version 3: a sum is rounded once, a source is lifted less.
    """
    rescales = isinstance(layer, Add | Concat) and layer.requant is not Scheme.SHIFT
    own = [version for name, version in OPTIONAL.items() if getattr(layer, name, None) is not None]
    return max(2 if isinstance(layer, NEWER) else 1, 3 if rescales else 1, *own)


def array_type(form: Format) -> np.dtype[Any]:
    """Return the narrowest signed little-endian type that integers of a format fit, of 1, 2, 4 or 8 bytes."""
    bits = form.width + (not form.signed)
    return np.dtype(f"<i{next(size for size in (1, 2, 4, 8) if bits <= 8 * size)}")


def write_value(value: Any) -> Any:
    """Return a parameter as JSON has it."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Format | Window | Encoding | Activated | ActivationTable):
        return {field.name: write_value(getattr(value, field.name)) for field in fields(value)}
    return [write_value(item) for item in value] if isinstance(value, tuple) else value


def read_object(value: object) -> dict[str, Any]:
    """Return a JSON object, copied; InputError for anything else."""
    if not isinstance(value, dict):
        raise ValueError(f"expected an object, not {_short(value)}")
    return dict(value)


def read_string(value: object) -> str:
    """Return a name; InputError for anything else."""
    if not isinstance(value, str):
        raise ValueError(f"expected a string, not {_short(value)}")
    return value


def read_strings(value: object) -> tuple[str, ...]:
    """Names."""
    return _tuple(read_string, value)


def read_format(value: object) -> Format:
    """Return a format; InputError for anything else."""
    return Format(**_read_fields(Format, read_object(value)))


def read_encoding(value: object) -> Encoding:
    """Return how images are encoded; InputError for anything else."""
    return Encoding(**_read_fields(Encoding, read_object(value)))


def _read_fields(kind: type[Any], entry: dict[str, Any], arrays: Mapping[str, str] = ARRAYS) -> dict[str, Any]:
    """Return the fields of a dataclass but for its arrays; all of them must be there, and no other."""
    names = [field.name for field in fields(kind)]
    for name in names:
        if name not in entry:
            raise ValueError(f"{name} is missing")
    for name in entry:
        if name not in names:
            raise ValueError(f"{_short(name)} is unknown")
    values = {}
    for field in fields(kind):
        if field.name not in arrays:
            try:
                values[field.name] = READERS[field.type](entry[field.name])
            except (TypeError, ValueError) as error:
                raise ValueError(f"{field.name}: {error}") from None
    return values


def _read_array(name: str, stored: object, form: Format, arrays: Arrays) -> Ints:
    """Return an array of the file as int64."""
    if stored != name or name not in arrays:
        raise ValueError(f"expected the array {name!r}, which the file must hold, not {_short(stored)}")
    values = arrays.pop(name)
    if values.dtype != array_type(form):
        raise ValueError(f"{name}: expected numbers of type {array_type(form)}, not {values.dtype}")
    return values.astype(np.int64)


def _read_window(value: object) -> Window:
    return Window(**_read_fields(Window, read_object(value)))


def _read_activated(value: object) -> Activated:
    return Activated(**_read_fields(Activated, read_object(value)))


def _read_table(value: object) -> ActivationTable:
    return ActivationTable(**_read_fields(ActivationTable, read_object(value)))


def _read_integer(value: object) -> int:
    check_integer("value", value, -(1 << 31), (1 << 31) - 1)
    return int(value)  # type: ignore[call-overload, no-any-return]  # checked


def _read_float(value: object) -> float:
    return value if isinstance(value, float) else float(_read_integer(value))


def _read_bool(value: object) -> bool:
    check_bool("value", value)
    return bool(value)


def _tuple(read: Read, value: object) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise ValueError(f"expected a list, not {_short(value)}")
    return tuple(read(item) for item in value)


def _optional(read: Read, value: object) -> Any:
    return None if value is None else read(value)


def _pair(value: object) -> tuple[int, int]:
    items = _tuple(_read_integer, value)
    if len(items) != 2:
        raise ValueError(f"expected 2 integers, not {len(items)}")
    return items[0], items[1]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


_integers, _floats = partial(_tuple, _read_integer), partial(_tuple, _read_float)
READERS: Mapping[Any, Read] = MappingProxyType(
    {
        str: read_string,
        int: _read_integer,
        float: _read_float,
        bool: _read_bool,
        Format: read_format,
        Window: _read_window,
        ActivationTable: _read_table,
        Activated | None: partial(_optional, _read_activated),
        Fold: partial(choice, Fold, "value"),
        InputRounding: partial(choice, InputRounding, "value"),
        Rounding: partial(choice, Rounding, "value"),
        Scheme: partial(choice, Scheme, "value"),
        Format | None: partial(_optional, read_format),
        Window | None: partial(_optional, _read_window),
        tuple[str, ...]: read_strings,
        tuple[Format, ...]: partial(_tuple, read_format),
        tuple[int, int]: _pair,
        tuple[int, int, int, int]: _integers,
        tuple[int, ...]: _integers,
        tuple[int, int] | None: partial(_optional, _pair),
        tuple[int, ...] | None: partial(_optional, _integers),
        tuple[float, ...] | None: partial(_optional, _floats),
    }
)

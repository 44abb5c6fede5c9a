"""`--set key=value` to the keyword arguments of a parameter object."""

import dataclasses
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, get_args

from roundel.golden.errors import InputError
from roundel.golden.nms import kind_of
from roundel.golden.parameters import Params, plain
from roundel.hw.units import UNITS, Unit

CONFIG = "config"  # the key that is no parameter, but names a configuration of the unit


def find_unit(name: str) -> Unit:
    """Return the unit called `name`; InputError that lists all of them otherwise."""
    if not isinstance(name, str) or name not in UNITS:
        raise InputError(f"unknown unit {name!r}, expected one of {', '.join(UNITS)}")
    return UNITS[name]


def parse_settings(unit: Unit, pairs: Iterable[str], base: Mapping[str, Any] = MappingProxyType({})) -> dict[str, Any]:
    """Keyword arguments of `unit.params` from `key=value` texts, over those in `base`.

    `a.b=value` reaches into a parameter object inside; `config=NAME` begins with a named configuration of the unit in
    place of `base`, wherever it stands among the others.

    Raises
    ------
    InputError
        No `=`, an unknown key, or values that the parameter object refuses; the message names the unit and the key.
    """
    config, keywords = parse_pairs(unit, pairs)
    keywords = merged(base if config is None else _named(unit, config), keywords)
    make_params(unit, keywords)
    return keywords


def parse_pairs(unit: Unit, pairs: Iterable[str]) -> tuple[str | None, dict[str, Any]]:
    """Return the configuration that `key=value` texts name, and the parameters that they set, not yet checked.

    Raises
    ------
    InputError
        No `=`, or an unknown key.
    """
    config = None
    keywords: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise InputError(f"--set {pair!r}: expected key=value")
        if key == CONFIG:
            config = text
            continue
        *outer, last = key.split(".")
        owner, place = unit.params, keywords
        for name in outer:
            owner, place = _inner(unit, owner, key, name), place.setdefault(name, {})
            if not isinstance(place, dict):
                raise InputError(f"unit {unit.name}: {name!r} is set as a whole and by {key!r}, expected one of them")
        _check_key(unit, owner, key, last)
        place[last] = _value(text)
    _check_inner(unit, unit.params, keywords)
    return config, keywords


def unit_params(unit: Unit, params: Any = None, config: str | None = None) -> Params:
    """Return the parameter object of `unit`, from one, or from keyword arguments over those of a named configuration.

    Raises
    ------
    InputError
        No such configuration, an object of another class, or values that the class refuses.
    """
    if params is None or isinstance(params, Mapping):
        return make_params(unit, merged(_named(unit, config) if config is not None else {}, params or {}))
    if not isinstance(params, unit.params):
        raise InputError(f"unit {unit.name}: expected parameters of its own class, not {type(params).__name__}")
    if config is not None:
        raise InputError(f"unit {unit.name}: expected a configuration or a parameter object, not both")
    return params


def make_params(unit: Unit, keywords: dict[str, Any]) -> Params:
    """Return the parameter object of `unit`; InputError with the object's own words when it refuses."""
    try:
        return unit.params.from_dict(keywords)
    except (TypeError, ValueError) as error:
        raise InputError(f"unit {unit.name}: {error}") from None


def _named(unit: Unit, name: str) -> Mapping[str, Any]:
    configs = {**unit.configs, **unit.presets}
    if not isinstance(name, str) or name not in configs:
        raise InputError(f"unit {unit.name} has no configuration {name!r}, expected one of {', '.join(configs)}")
    return configs[name]


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with what `over` says, also inside of parameter objects that both speak of.

    Of a suppression unit with another method, what only the method before has is left out.
    """
    if "method" in over:
        base = {name: value for name, value in base.items() if name in _fields(kind_of(over["method"]))}
    return {
        **base,
        **{
            name: merged(base[name], value)
            if isinstance(value, Mapping) and isinstance(base.get(name), Mapping)
            else value
            for name, value in over.items()
        },
    }


def _fields(owner: Any) -> dict[str, Any]:
    """Return the fields of a class, or of any of several."""
    owners = owner if isinstance(owner, tuple) else (owner,)
    return {field.name: field for one in owners for field in dataclasses.fields(one)}


def _check_key(unit: Unit, owner: Any, key: str, name: str) -> None:
    if name not in _fields(owner):
        raise InputError(f"unit {unit.name} has no parameter {key!r}, expected one of {', '.join(_fields(owner))}")


def _check_inner(unit: Unit, owner: Any, keywords: Mapping[str, Any], prefix: str = "") -> None:
    """Raise InputError where a single value stands for a parameter object, which has keys of its own."""
    for name, value in keywords.items():
        kind, key = _parameters(_fields(owner)[name].type), prefix + name
        if isinstance(value, dict):
            _check_inner(unit, kind, value, f"{key}.")
        elif isinstance(kind, tuple) and value is not None:
            keys = ", ".join(f"{key}.{inner}" for inner in _fields(kind))
            raise InputError(f"unit {unit.name}: {key} is no single value: set {keys}")


def _parameters(kind: Any) -> Any:
    """Return the type of a parameter; of a parameter object, or of several kinds of them, a tuple of its classes."""
    return tuple(filter(dataclasses.is_dataclass, (*get_args(kind), kind))) or kind


def _inner(unit: Unit, owner: Any, key: str, name: str) -> Any:
    _check_key(unit, owner, key, name)
    kind = _parameters(_fields(owner)[name].type)
    if not isinstance(kind, tuple):
        raise InputError(f"unit {unit.name}: {name!r} in {key!r} has no parameters of its own")
    return kind


def _value(text: str) -> Any:
    constants = {"true": True, "false": False, "none": None, "null": None}
    if text.lower() in constants:
        return constants[text.lower()]
    if re.fullmatch(r"-?\d{1,18}", text):
        return int(text)
    if text[:1] + text[-1:] in ("[]", "()"):
        text = f"{text[1:-1]},"
    if "," in text:
        return tuple(_value(part.strip()) for part in text.strip(",").split(",") if part.strip())
    try:
        return float(text)
    except ValueError:
        return text


def describe_units() -> list[dict[str, Any]]:
    """Give a row per unit: name, summary, parameters with their defaults, named configurations.

    Returns
    -------
    list of dict
        Plain values, as `roundel units --json` prints them.

    Examples
    --------
    >>> import roundel
    >>> [unit["unit"] for unit in roundel.describe_units()][:3]
    ['requant', 'mac', 'nms']
    """
    return [
        {
            "unit": unit.name,
            "summary": unit.summary,
            "parameters": _defaults(unit.params()),
            "configs": {name: plain(dict(keywords)) for name, keywords in unit.configs.items()},
            "presets": {name: plain(dict(keywords)) for name, keywords in unit.presets.items()},
        }
        for unit in UNITS.values()
    ]


def _defaults(params: Any, prefix: str = "") -> dict[str, Any]:
    """Return what a parameter object holds, by the key that `--set` takes, that of an inner one after a dot."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(params):
        value, key = getattr(params, field.name), prefix + field.name
        values |= _defaults(value, f"{key}.") if dataclasses.is_dataclass(value) else {key: plain(value)}
    return values

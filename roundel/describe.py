"""What the units are, for people and programs."""

import dataclasses
from typing import Any

from golden.checks import plain
from hw.units import UNITS


def describe_units() -> list[dict[str, Any]]:
    """One row per unit: name, summary, parameters with their defaults, named configurations."""
    return [
        {
            "unit": unit.name,
            "summary": unit.summary,
            "parameters": _defaults(unit.params()),
            "configs": {name: dict(keywords) for name, keywords in unit.configs.items()},
            "presets": {name: dict(keywords) for name, keywords in unit.presets.items()},
        }
        for unit in UNITS.values()
    ]


def _defaults(params: Any, prefix: str = "") -> dict[str, Any]:
    """What a parameter object holds, by the key that `--set` takes, that of an inner one after a dot."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(params):
        value, key = getattr(params, field.name), prefix + field.name
        found |= _defaults(value, f"{key}.") if dataclasses.is_dataclass(value) else {key: plain(value)}
    return found

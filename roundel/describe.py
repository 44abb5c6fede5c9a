"""What the units are, for people and programs."""

import dataclasses
from enum import Enum
from typing import Any

from hw.units import UNITS


def describe_units() -> list[dict[str, Any]]:
    """One row per unit: name, summary, parameters with their defaults, named configurations."""
    return [
        {
            "unit": unit.name,
            "summary": unit.summary,
            "parameters": _defaults(unit.params),
            "configs": {name: dict(keywords) for name, keywords in unit.configs.items()},
        }
        for unit in UNITS.values()
    ]


def _defaults(params: Any, prefix: str = "") -> dict[str, Any]:
    """Parameters by the key that `--set` takes, those of an inner parameter object after a dot."""
    defaults: dict[str, Any] = {}
    for field in dataclasses.fields(params):
        if dataclasses.is_dataclass(field.type):
            defaults |= _defaults(field.type, f"{prefix}{field.name}.")
        else:
            defaults[prefix + field.name] = field.default.value if isinstance(field.default, Enum) else field.default
    return defaults

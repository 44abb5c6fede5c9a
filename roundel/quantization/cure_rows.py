"""What cures did for layers, and for a network: errors before and after (`roundel.quantization.cures`)."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import log10


@dataclass(frozen=True, kw_only=True)
class Cure:
    """What a cure did for a layer.

    Parameters
    ----------
    name
        `rounding` or `bias`.
    before, after
        `||O - O_q||^2` at the positions that were compared, without it and with it.
    """

    name: str
    before: float
    after: float


@dataclass(frozen=True, kw_only=True)
class CureRow:
    """What a cure did for a network, for the report.

    Parameters
    ----------
    name
        As in `Cure`.
    layers, better
        How many layers it was tried on, and how many it made better.
    gain_db
        By how much the error of a layer fell, the mean over all layers in dB.
    """

    name: str
    layers: int
    better: int
    gain_db: float


def cure_rows(done: Iterable[Cure]) -> tuple[CureRow, ...]:
    """Sum up what cures did for all layers."""
    rows, done = [], tuple(done)
    for name in dict.fromkeys(cure.name for cure in done):
        own = [cure for cure in done if cure.name == name]
        gains = [10 * log10(cure.before / cure.after) for cure in own if cure.after > 0]
        rows.append(
            CureRow(
                name=name,
                layers=len(own),
                better=sum(cure.after < cure.before for cure in own),
                gain_db=sum(gains) / max(1, len(gains)),
            )
        )
    return tuple(rows)

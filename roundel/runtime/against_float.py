"""The float network against the integer one, tensor by tensor: how far apart quantization has moved them.

[R] Integers are never equal to floats, so equality is no test here. What is reported is the ratio of signal to error
(SQNR). A quantizer of 8 bits leaves 30 to 40 dB, one of 4 bits about 15, and errors of the layers before add up; where
less than `LEAST_DB` is left, the error is a third of the signal: more than rounding explains, and a sign of clamped
values, of images unlike those that chose the formats, or of a wrong import. The first such tensor is named.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

import numpy as np

from roundel.golden.formats import Format
from roundel.golden.rounding import Ints
from roundel.graph import Graph, Reals, fold
from roundel.quantization import LEAST_DB, integer_order, sqnr_db, unify


@dataclass(frozen=True, kw_only=True)
class FloatRow:
    """A tensor of both networks.

    Attributes
    ----------
    tensor
        The integer layer's name.
    sqnr_db
        Power of the float tensor by that of the difference, as `roundel.quantization.sqnr_db` has it.
    clamped
        Part of its elements, 0 to 1, at an end of the integer format while the float value is beyond it.
    element
        Where the difference is greatest: (image, row, column, channel) or (image, feature).
    real, integer
        Both values there, the integer as the number that it stands for.
    """

    tensor: str
    sqnr_db: float
    clamped: float
    element: tuple[int, ...]
    real: float
    integer: float

    @property
    def diverges(self) -> bool:
        """Whether the error is more than rounding explains."""
        return self.sqnr_db < LEAST_DB

    def __str__(self) -> str:
        place = ", ".join(map(str, self.element))
        return (
            f"{self.tensor}: float and integer {self.sqnr_db:.1f} dB apart, most at [{place}]: "
            f"float {self.real:.5g}, integer {self.integer:.5g}"
        )

    def as_dict(self) -> dict[str, Any]:
        """As plain values that JSON can hold."""
        return asdict(self) | {"sqnr_db": self.sqnr_db if isfinite(self.sqnr_db) else None, "diverges": self.diverges}


def float_rows(
    graph: Graph, images: Any, integers: Mapping[str, Ints], formats: Mapping[str, Format], *, residuals: bool = True
) -> list[FloatRow]:
    """Return a row for each tensor that both networks have, in dataflow order.

    Parameters
    ----------
    graph
        The float network.
    images
        As the network takes them, (images, channels, rows, columns) or (images, features).
    integers, formats
        The integer network's tensors, (images, ..., channels), and their formats, by the layer's name.
    residuals
        Whether residual additions are part of the layer before, as `modules.unify` has it.
    """
    graph = fold(graph)
    values = graph.values(images)
    rows = []
    for module in unify(graph, residuals=residuals):
        if module.name in integers and module.tensor in values:
            real = integer_order(graph, module.tensor, values[module.tensor])
            if real.shape == integers[module.name].shape:
                rows.append(_row(module.name, real, integers[module.name], formats[module.name]))
    return rows


def _row(name: str, real: Reals, codes: Ints, form: Format) -> FloatRow:
    held = form.decode(codes)
    apart = np.abs(real.astype(np.float64) - held)
    low, high = form.limits
    beyond = (codes == low) & (real < held) | (codes == high) & (real > held)
    power, error = float(np.square(real, dtype=np.float64).sum()), float(np.square(apart).sum())
    place = np.unravel_index(int(apart.argmax()), apart.shape)
    return FloatRow(
        tensor=name,
        sqnr_db=sqnr_db(power, error),
        clamped=float((beyond & (apart > form.scale)).mean()),
        element=tuple(map(int, place)),
        real=float(real[place]),
        integer=float(held[place]),
    )

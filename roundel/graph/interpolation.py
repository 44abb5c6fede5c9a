"""A map enlarged by linear interpolation, as a node of the float network."""

from dataclasses import dataclass

import numpy as np

from roundel.graph.nodes import Node, Reals, check_map


@dataclass(frozen=True, kw_only=True, eq=False)
class Interpolate(Node):
    """Linear interpolation in an enlarged map, see `roundel.golden.network.Interpolate`.

    Parameters
    ----------
    factor
        By what rows and columns are multiplied, powers of two.
    offset
        Along an axis, result i lies at `(2 * i + offset) / (2 * factor)` of the input; beyond its ends the end counts.
    """

    factor: tuple[int, int]
    offset: tuple[int, int]

    def weights(self, size: int, axis: int) -> Reals:
        """Return what results are sums of along rows (0) or columns (1) of so many: (results, size) float32, exact."""
        unit, results = 2 * self.factor[axis], np.arange(size * self.factor[axis])
        first, share = np.divmod(2 * results + self.offset[axis], unit)
        weights = np.zeros((len(results), size), np.float32)
        np.add.at(weights, (results, np.clip(first, 0, size - 1)), (unit - share) / unit)
        np.add.at(weights, (results, np.clip(first + 1, 0, size - 1)), share / unit)
        return weights

    def compute(self, *inputs: Reals) -> Reals:
        """Return the larger map of a map (batch, channels, rows, columns)."""
        x = inputs[0]
        check_map(x.shape[1:])
        high = np.matmul(self.weights(x.shape[2], 0).astype(x.dtype), x)
        return np.asarray(high @ self.weights(x.shape[3], 1).astype(x.dtype).T)

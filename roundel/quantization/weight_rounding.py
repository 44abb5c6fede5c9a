"""Rounding of weights that looks at the layer's results: coordinate descent on `||X W - X W_I||^2` [R].

Nearest rounding makes each weight's own error small; inputs of a layer have much in common, so that errors of several
weights can cancel in its sums. [S] the objective is that of AdaRound (Nagel et al., ICML 2020) and of second-order
rounding (GPTQ, Frantar et al., ICLR 2023); [R] the way there: from the nearest integers, one input after the other,
each takes the whole step that leaves least error, all outputs at once. All sums are of whole numbers that binary64
holds, so that the result depends on no order, thread or library.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.golden.rounding import Ints

SWEEPS = 4  # over all inputs of a layer
BLOCK = 64  # inputs of which errors are kept up to date; others follow after each block
UNIT = 10  # fractional bits of what is left of a weight
LEAST_DAMPING = 1 / 64  # of the mean power of inputs, which is added to each: what calibration did not show


def rounded(
    columns: NDArray[Any],
    wanted: NDArray[np.float64],
    codes: Ints,
    limits: tuple[int, int],
    groups: int,
    taps: int,
    *,
    centred: bool,
) -> Ints:
    """Return integers near `wanted` with which a layer's results have less error than with `codes`.

    Parameters
    ----------
    columns
        Inputs of the layer, (positions, taps * channels), whole numbers.
    wanted
        Weights in units of their integers, (taps * channels / groups, outputs).
    codes
        The nearest integers of those, within the limits.
    limits
        Least and greatest integer.
    groups, taps
        As in `roundel.golden.network.conv.grouped_matmul`.
    centred
        Whether a bias will take in what all positions lose.

    Returns
    -------
    array
        Where `wanted` is 0, so are they; (taps * channels / groups, outputs), int64.
    """
    size, outputs = codes.shape
    inputs = columns.reshape(len(columns), taps, groups, -1).transpose(2, 0, 1, 3).reshape(groups, len(columns), size)
    inputs = inputs.astype(np.float64)
    if centred:
        inputs -= np.rint(inputs.mean(axis=1, keepdims=True))
    power = inputs.transpose(0, 2, 1) @ inputs
    damping = max(LEAST_DAMPING, size / len(columns))  # with few positions inputs seem to have more in common
    mean = np.rint(np.einsum("gii->g", power) / size * damping) + 1
    power[:, range(size), range(size)] += mean[:, None]

    def grouped(values: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray(values, np.float64).reshape(size, groups, -1).transpose(1, 0, 2)

    found, goal = grouped(codes).copy(), np.rint(np.ldexp(grouped(wanted), UNIT))
    low, high = limits
    own = np.einsum("gii->gi", power)
    order = np.argsort(-own, axis=1, kind="stable")  # what matters most is rounded first
    groups_of = np.arange(groups)[:, None]
    power = power[groups_of[:, :, None], order[:, :, None], order[:, None]]
    own, found, goal = own[groups_of, order], found[groups_of, order], goal[groups_of, order]
    kept = goal != 0  # what was pruned stays so
    slope = power @ (np.ldexp(found, UNIT) - goal)  # half the gradient, times 2^UNIT
    for _ in range(SWEEPS):
        moved = False
        for first in range(0, size, BLOCK):
            part = slice(first, min(first + BLOCK, size))
            near, local = slope[:, part].copy(), power[:, part, part]
            steps = np.zeros_like(near)
            for place in range(near.shape[1]):
                at = found[:, first + place]
                step = np.rint(np.ldexp(near[:, place] / own[:, first + place, None], -UNIT))
                step = (np.clip(at - step, low, high) - at) * kept[:, first + place]
                if not step.any():
                    continue
                steps[:, place] = step
                found[:, first + place] += step
                near += np.ldexp(local[:, :, place, None] * step[:, None], UNIT)
            if steps.any():
                moved = True
                slope += np.ldexp(power[:, :, part] @ steps, UNIT)
        if not moved:
            break
    result = np.empty_like(found)
    result[groups_of, order] = found
    return result.transpose(1, 0, 2).reshape(size, outputs).astype(np.int64)

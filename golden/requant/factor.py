"""Real factors on requantizers: which run-time parameters make a scheme multiply by `s_x * s_w / s_o`.

A scale is `mantissa * 2**-fraction` (`roundel.golden.formats`), so a factor is `x * w / o * 2**-shift` of three
mantissas. What each scheme makes of the result is `roundel.golden.requant.params`'s arithmetic, which the hardware has
bit for bit.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roundel.golden.requant.params import RequantParams, Scheme
from roundel.golden.rounding import Ints

Reals = NDArray[np.float64]

SCHEMES = (Scheme.SHIFT, Scheme.FIXED8, Scheme.FIXED16, Scheme.FIXED32, Scheme.FLOAT32)


@dataclass(frozen=True, kw_only=True, eq=False)
class Factor:
    """`x * w / o * 2**-shift`, by channel.

    Parameters
    ----------
    x, o
        Mantissas of the scales of input and output.
    w, shift
        (channels,): mantissas of the weights' scales; `N_x + N_w - N_o`.
    """

    x: float
    w: Reals
    o: float
    shift: Ints

    def runtime(self, params: RequantParams, zero: int, leak: int = 0) -> dict[str, Ints]:
        """Return the run-time parameters of `params`, which multiplies, for this factor times `2**-leak`, by channel.

        Raises
        ------
        ValueError
            The factor is greater than what the scheme can multiply by.
        """
        shift = self.shift + leak
        fields = self._float(shift) if params.scheme is Scheme.FLOAT32 else self._fixed(params, shift)
        return fields | {"zero_point": np.asarray(zero)}

    def _float(self, shift: Ints) -> dict[str, Ints]:
        """[S] onnxruntime multiplies and divides scales in binary32; moving exponents afterwards changes nothing."""
        factor = np.float32(self.x) * self.w.astype(np.float32) / np.float32(self.o)
        with np.errstate(over="ignore", under="ignore"):
            scale = np.ldexp(factor, -shift).astype(np.float32)
        return {"scale": scale.view(np.uint32).astype(np.int64)}

    def _fixed(self, params: RequantParams, shift: Ints) -> dict[str, Ints]:
        """[S] TFLite's QuantizeMultiplier: the nearest multiplier with its top bit set.

        A shift that its field does not hold becomes a multiplier of 1 with the greatest shift, which rounds every
        accumulator as the longer shift would; for `fixed32`, to 0 as in TFLite.
        """
        doubling = params.scheme is Scheme.FIXED32  # a signed multiplier, whose product is divided by 2**31 beforehand
        width = params.scheme.multiplier_width - doubling
        half, exponent = np.frexp(self.x * self.w / self.o)
        multiplier = np.floor(half * 2.0**width + 0.5).astype(np.int64)
        carry = multiplier >> width  # rounded up to the next power of two
        amount = shift - exponent - carry + (0 if doubling else width)
        if amount.min(initial=0) < 0:
            most = 0 if doubling else width
            least = most - 1 - int(amount.min())
            raise ValueError(f"{params.scheme.value} multiplies by less than 2**{most}, not by 2**{least} or more")
        limit = next(field for field in params.runtime_fields if field.name == "shift").limits[1]
        return {
            "multiplier": np.where(amount > limit, 1, multiplier >> carry),
            "shift": np.minimum(amount, limit),
        }

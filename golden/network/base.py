"""What all integer layers share: names, formats, and the one requantizer that most of them end in."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from roundel.golden.formats import Format
from roundel.golden.parameters import check_integer
from roundel.golden.requant import SCHEMES, Factor, RequantParams, Scheme
from roundel.golden.rounding import Ints, Rounding, round_shift

Array: TypeAlias = NDArray[Any]
Part: TypeAlias = slice | tuple[slice, ...]

MAX_SHIFT = 31
MAX_BOUNDS = (-(1 << 31), (1 << 31) - 1)  # of a clamp, whatever the output's width


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer:
    """What every layer has.

    Parameters
    ----------
    name
        The layer's own name and that of the tensor it makes.
    sources
        The tensors it reads.
    output
        Format of its result; unsigned means that negative results become 0, so that ReLU costs nothing and gains a bit.
    """

    name: str
    sources: tuple[str, ...]
    output: Format

    def compute(self, *inputs: Array) -> "Step":
        """Run on integer tensors, of any types, whose first axis is the batch and whose last is the channel."""
        return Step(layer=self, inputs=inputs, results=self.results(*inputs))

    def results(self, *inputs: Array) -> Array:
        """Return what `compute` gives in `Step.results`."""
        raise NotImplementedError

    def columns(self, *inputs: Array) -> Ints | None:
        """Return what multiplies the weights for such inputs, see `Step`; None without weights."""
        return None

    def accumulators(self, *inputs: Array) -> Ints | None:
        """Return what enters the requantizer for such inputs, see `Step`; None without a requantizer."""
        return None

    @property
    def expects(self) -> tuple[Format, ...]:
        """The formats that the sources must have: the output's own, unless a layer says otherwise."""
        return (self.output,)

    def check(self, *formats: Format) -> None:
        """Raise ValueError if the sources, which have `formats`, are not what the layer was made for."""
        if formats != self.expects:
            raise ValueError(f"{self.name}: made for inputs of {self.expects}, not {formats}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """One run of one layer.

    Parameters
    ----------
    layer
        The layer that ran.
    inputs
        What it ran on.
    results
        What it gave, (batch, ..., channels), in a type as narrow as its format allows.
    """

    layer: Layer
    inputs: tuple[Array, ...]
    results: Array

    @cached_property
    def outputs(self) -> Ints:
        """The results as 64-bit integers, with which any arithmetic is safe."""
        return self.results.astype(np.int64)

    @cached_property
    def columns(self) -> Ints | None:
        """What multiplies the weights, (positions, taps * channels), one row for each output position.

        The MAC array's input. With groups, each output reads the channels of its group only. Weighted layers only.
        """
        return self.layer.columns(*self.inputs)

    @cached_property
    def accumulators(self) -> Ints | None:
        """What enters the requantizer, (positions, channels). Layers that requantize only."""
        return self.layer.accumulators(*self.inputs)


@dataclass(frozen=True, kw_only=True, eq=False)
class Requantized(Layer):
    """A layer that ends in one requantizer: a factor, a rounding and a clamp.

    Parameters
    ----------
    rounding
        How the requantizer rounds; `fixed32` and `float32` have one of their own.
    bounds
        A further clamp, in integers of the output: Clip, ReLU6.
    leak
        LeakyRelu of slope `2**-leak`: negative accumulators are multiplied by it, in the one rounding.
    requant
        The requantizer. `SHIFT` divides by powers of two; the others multiply by any factor, so that formats may be
        scaled.
    """

    rounding: Rounding = Rounding.HALF_UP
    bounds: tuple[int, int] | None = None
    leak: int = 0
    requant: Scheme = Scheme.SHIFT

    def results(self, *inputs: Array) -> Array:
        """Requantize the sums, block by block; in any blocks the same."""
        outputs = np.empty(self.shape(*inputs), self.output.storage)
        for part, sums in self.sums(*inputs):
            outputs[part] = self.requantize(sums).reshape(outputs[part].shape)
        return outputs

    def accumulators(self, *inputs: Array) -> Ints:
        """Return what enters the requantizer for such inputs, (positions, channels)."""
        return np.concatenate([sums.astype(np.int64, copy=False) for _, sums in self.sums(*inputs)])

    def shape(self, *inputs: Array) -> tuple[int, ...]:
        """Shape of the results: that of the first input, unless a layer says otherwise."""
        return inputs[0].shape

    def sums(self, *inputs: Array) -> Iterator[tuple[Part, Array]]:
        """Give what enters the requantizer, (positions, channels), a block after the other.

        Yields
        ------
        tuple
            Which part of the results a block makes, and its sums in the type `integers`.
        """
        raise NotImplementedError

    def integers(self, *inputs: Array) -> np.dtype[Any]:
        """Return the type of sums that are exact: of 32 bits where formats and inputs allow it, else of 64."""
        narrow = self.requantizer_width < 32 and all(map(Format.holds, self.expects, inputs))
        return np.dtype(np.int32 if narrow else np.int64)

    @property
    def accumulator_fractions(self) -> Ints:
        """Fractional bits of what enters the requantizer: (channels,), or (1,) where all channels have the same."""
        raise NotImplementedError

    @property
    def accumulator_fraction(self) -> int:
        """The same for all channels; ValueError where they differ."""
        return self._only("accumulator_fraction", self.accumulator_fractions)

    @property
    def requantizer_width(self) -> int:
        """Signed bits that hold what enters the requantizer, whatever the inputs."""
        raise NotImplementedError

    @property
    def shifts(self) -> Ints:
        """Right shifts by channel, 0 to `MAX_SHIFT` where `requant` is `SHIFT` (checked when the layer is made)."""
        return self.accumulator_fractions - self.output.fraction

    @property
    def shift(self) -> int:
        """The one right shift of all channels; ValueError where they differ."""
        return self._only("shift", self.shifts)

    @property
    def limits(self) -> tuple[int, int]:
        """Least and greatest integer that the layer gives."""
        low, high = self.output.limits
        return (low, high) if self.bounds is None else (max(low, self.bounds[0]), min(high, self.bounds[1]))

    @property
    def requantizer(self) -> RequantParams:
        """The requantizer alone; `bounds` clamp behind it."""
        return RequantParams(
            scheme=self.requant,
            acc_width=max(16, self.requantizer_width),
            out_width=self.output.width,
            out_signed=self.output.signed,
            rounding=self.rounding,
        )

    def runtime(self, *, negative: bool = False) -> dict[str, Ints]:
        """Return the requantizer's run-time parameters, by channel; those for `negative` accumulators, which leak."""
        leak = self.leak if negative else 0
        if self.requant is Scheme.SHIFT:
            return {"shift": self.shifts + leak}
        return self._factor.runtime(self.requantizer, self.output.zero, leak)

    @property
    def _factor(self) -> Factor:
        """What the requantizer multiplies by. Weights count in powers of two unless a layer says otherwise."""
        shifts = self.shifts
        return Factor(x=self.expects[0].mantissa, w=np.ones(shifts.shape), o=self.output.mantissa, shift=shifts)

    def requantize(self, accumulators: Array) -> Array:
        """Return integers of the output from what enters the requantizer, (..., channels)."""
        if self.requant is Scheme.SHIFT:
            return self._shift(accumulators)
        requantizer = self.requantizer
        results: Array = requantizer.compute(accumulators, self.runtime())
        if self.leak:
            below = requantizer.compute(accumulators, self.runtime(negative=True))
            results = np.where(accumulators < 0, below, results)
        return np.asarray(np.clip(results, *self.limits))

    def _shift(self, accumulators: Array) -> Array:
        """Do the same by shifts alone; one for all channels is faster than one for each."""
        shifts = self.shifts
        amount = (shifts[:1] if (shifts == shifts[0]).all() else shifts).astype(accumulators.dtype)
        if self.leak:
            amount = np.where(accumulators < 0, amount + self.leak, amount)
        results: Array = round_shift(accumulators, amount, self.rounding)
        if self.output.zero:
            results += self.output.zero
        return np.clip(results, *self.limits, out=results)

    def _check_requantizer(self) -> None:
        """Raise ValueError for parameters that no requantizer has; call it when all others are checked."""
        try:
            check_integer("leak", self.leak, 0, MAX_SHIFT)
            for bound in self.bounds or ():
                check_integer("bounds", bound, *MAX_BOUNDS)
            if self.requantizer_width > 63:
                raise ValueError(f"sums of {self.requantizer_width} bits do not fit into 64-bit integers")
            if self.limits[0] > self.limits[1]:
                raise ValueError(f"bounds {self.bounds} leave nothing of {self.output.limits}")
            if self.requant not in SCHEMES:
                raise ValueError(f"requant must be one of {[scheme.value for scheme in SCHEMES]}, not {self.requant}")
            if self.requant is Scheme.SHIFT:
                self._check_shifts()
            else:
                self._check_factors()
        except (TypeError, ValueError) as error:
            raise ValueError(f"{self.name}: {error}") from None

    def _check_factors(self) -> None:
        """Raise ValueError unless the requantizer can multiply by what the scales ask for."""
        for negative in (False, True):
            self.requantizer.check_runtime(self.runtime(negative=negative))

    def _check_shifts(self) -> None:
        """Raise ValueError unless shifts do all: every scale a power of two times one mantissa, no zero point after."""
        wrong = [shift for shift in self.shifts.tolist() if not 0 <= shift <= MAX_SHIFT]
        if wrong:
            raise ValueError(f"shift must be 0 to {MAX_SHIFT}, not {wrong[0]}")
        if self.leak and max(self.shifts.tolist()) + self.leak > MAX_SHIFT:
            raise ValueError(f"shift and leak must be at most {MAX_SHIFT}, not {max(self.shifts.tolist()) + self.leak}")
        mantissas = {form.mantissa for form in (*self._alike, self.output)}
        if len(mantissas) > 1:
            raise ValueError(f"mantissas of input and output must agree to be shifted, not be {sorted(mantissas)}")
        if self.output.zero:
            raise ValueError(f"a shift has no zero point, but the output's is {self.output.zero}")

    @property
    def _alike(self) -> tuple[Format, ...]:
        """Formats whose mantissa must be the output's where shifts do all: those of all sources, unless told."""
        return self.expects

    def _check_apart(self, bits: int) -> None:
        """Raise ValueError where summands would have to be shifted to each other by more than `MAX_SHIFT`."""
        if bits > MAX_SHIFT:
            raise ValueError(f"{self.name}: summands are {bits} bits apart, more than {MAX_SHIFT}")

    def _only(self, what: str, values: Ints) -> int:
        distinct = set(values.tolist())
        if len(distinct) != 1:
            raise ValueError(f"{self.name}: {what} differs between channels")
        return int(distinct.pop())

"""The lowering of modules with a function of one value: a table of the activation unit behind the sums of a layer."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from math import ceil, log2
from typing import Any

import numpy as np

from roundel.golden import network as layers
from roundel.golden.activation import WORDS, Fitted
from roundel.golden.formats import Format, align
from roundel.golden.network import MAX_SHIFT, Activated, Layer
from roundel.golden.rounding import Ints
from roundel.graph import Pointwise, PRelu, Reals
from roundel.quantization.calibration import Codes
from roundel.quantization.function_tables import (
    Inputs,
    NoTable,
    fitted_activation,
    fitted_slopes,
    row_of,
)
from roundel.quantization.lowering_base import may_be_negative
from roundel.quantization.search import Goal, around, estimate
from roundel.quantization.value_lowering import ValueLowering

COPY_SHIFTS = (6, 12)  # of a layer that only applies a function: bits before its sums, usual and at most
RESIDUAL_SHIFTS = 3  # by which a residual may have more fractional bits than the output


@dataclass(frozen=True, kw_only=True, eq=False)
class FunctionGoal(Goal):
    """The target of a module with a function: the sums' real values go through it before they round.

    Parameters
    ----------
    function
        The function.
    residual
        What is added behind the function, real, (positions, channels); None for nothing.
    saturates
        Whether words have the output's scale, so that small inputs may be less than any.
    coarsest
        Most fractional bits of the output, those of the residual; None where all are possible.
    """

    function: Pointwise | PRelu
    residual: Reals | None = None
    saturates: bool = False
    coarsest: int | None = None
    _last: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    def part(self, positions: slice, channels: slice) -> "FunctionGoal":
        """Return the target at some positions, of some channels."""
        function, residual = self.function, self.residual
        if isinstance(function, PRelu):
            function = replace(function, slopes=function.slopes[channels])
        if residual is not None:
            residual = residual[positions, channels]
        return replace(self, values=self.values[positions, channels], function=function, residual=residual)

    def fractions(self, accumulator_fractions: Iterable[int]) -> list[int]:
        """Fractional bits to try: no more than those of sums, and a residual may have up to three more."""
        if self.fixed:
            return [self.form.fraction]
        most = max(accumulator_fractions)
        low, high = most - MAX_SHIFT, most
        if self.coarsest is not None:
            low, high = self.coarsest - RESIDUAL_SHIFTS, min(high, self.coarsest)
        return list(around(self.form.fraction, self.options.window, low, high))

    def _apart(self, accumulators: Ints, fractions: int | Ints, n_o: int) -> Reals:
        """Return results less those that are wanted, in units of `n_o` fractional bits, without a table's error."""
        if self._last.get("sums") is not accumulators or self.saturates:
            real = np.ldexp(accumulators.astype(np.float32), -np.asarray(fractions, np.int32))
            if self.saturates:  # words of slopes have the output's scale, times 2 at most
                real = np.maximum(real, -np.float32(np.ldexp(1.0, WORDS.in_width - 2 - n_o)))
            self._last.update(sums=accumulators, results=self.function.compute(real))
        integers = np.ldexp(self._last["results"], n_o)
        if self.residual is not None:  # a table gives no more by itself than the output holds
            integers = np.clip(integers, *self.form.limits) + np.ldexp(self.residual, n_o)
        np.rint(integers, out=integers)
        np.clip(integers, *self.form.limits, out=integers)
        return np.asarray(integers - self._scaled_values(n_o))

    def bounds(self, output: Format) -> tuple[int, int] | None:
        """No clamp stands beside a function."""
        return None


class FunctionLowering(ValueLowering):
    """One module with a function on its way to an integer layer."""

    @property
    def _function(self) -> Pointwise | PRelu:
        function = self.module.function
        assert function is not None
        return function

    @property
    def _residual(self) -> tuple[Ints, Format] | None:
        """What is added behind the function, at the sampled positions, and its format."""
        if len(self.inputs) < 2:
            return None
        codes, form = self.inputs[1]
        return self._sampled(codes).astype(np.int64), form

    def _function_goal(self, residual: tuple[Ints, Format] | None) -> FunctionGoal:
        """Return the target of the search."""
        form, fixed = self._function_form(), self.module.quantizer is not None or self.tied is not None
        return FunctionGoal(
            values=self._sampled(self.reference),
            form=form,
            fixed=fixed,
            activation=self.module.activation,
            options=self.options,
            way=self._way,
            function=self._function,
            saturates=isinstance(self._function, PRelu),
            residual=None if residual is None else residual[1].decode(residual[0]).astype(np.float32),
            coarsest=None if residual is None else residual[1].fraction,
        )

    def _function_form(self) -> Format:
        """Return the format to search around, or that of the quantizer."""
        if self.module.quantizer is not None or self.tied is not None:
            return self._goal.form
        bits = self.options.bits_after(self.module.name)
        if bits != WORDS.OUT_WIDTH:
            raise ValueError(f"{self._function.name}: an activation gives {WORDS.OUT_WIDTH} bits, not {bits}")
        form = Format(width=WORDS.OUT_WIDTH, signed=self._function_signed(), fraction=0)
        fraction = estimate(self.reference, form) if self.reference.any() else self._blank(form)
        if len(self.inputs) > 1:
            fraction = min(fraction, estimate(function_values(self._function, self.before), form))
        if isinstance(self._function, PRelu) and self.before[0] < 0:
            fraction = min(fraction, WORDS.in_width - 2 - ceil(log2(-self.before[0])))
        return replace(form, fraction=fraction)

    def _function_signed(self) -> bool:
        """Whether a result can be negative."""
        if not self.module.activation.signed:
            return False
        if len(self.inputs) > 1 and may_be_negative(self.inputs[1][1]):
            return True
        if self.reference.min() < 0 or isinstance(self._function, PRelu):
            return bool(self.reference.min() < 0 or self.before[0] < 0)
        low, high = self.before
        results = self._function.function(np.linspace(min(low, -1.0), max(high, 1.0), 257))
        return bool(results.min() < 0)

    def _activated(self, layer_of: Callable[[Format, Activated], layers.Weighted], goal: FunctionGoal,
                   sums: Ints, fractions: Ints, output: Format) -> layers.Weighted:  # fmt: skip
        """Return a layer with the best table.

        Parameters
        ----------
        layer_of
            Makes the layer of the output's format and the activation.
        goal
            The target.
        sums, fractions
            What enters the function at the sampled positions, (positions, channels), and its fractional bits.
        output
            Format of the result.
        """
        inputs = Inputs.of(np.ldexp(sums.astype(np.float64), -fractions), self.before)
        output, activated, fitted = self._nearest(goal, sums, fractions, output, inputs)
        self.functions.append(row_of(self.module.name, self._function_name, fitted, output))
        if goal.coarsest is not None:
            shift = output.fraction + WORDS.fraction - goal.coarsest
            activated = replace(activated, table=replace(activated.table, residual_shift=shift))
        return layer_of(output, activated)

    @property
    def _function_name(self) -> str:
        return "PRelu" if isinstance(self._function, PRelu) else self._function.function.name

    def _nearest(
        self, goal: FunctionGoal, sums: Ints, fractions: Ints, output: Format, inputs: Inputs
    ) -> tuple[Format, Activated, Fitted]:
        """Return the table of the best output format, or of a neighbour where that one has none, and the format.

        Slopes by channel may also have two fractional bits less.

        Raises
        ------
        NoTable
            None of them has a table within the allowed error; it tells the error at the best format.
        """
        others = [n_o for n_o in goal.fractions(fractions.tolist()) if abs(n_o - output.fraction) == 1]
        others.sort(key=lambda n_o: float(goal.errors(sums, fractions, n_o).sum()))
        if goal.saturates and not goal.fixed and goal.coarsest is None:  # steep slopes: rather so than on the host
            others.append(output.fraction - 2)
        refused: NoTable | None = None
        for n_o in (output.fraction, *others):
            form = replace(output, fraction=n_o)
            try:
                activated, fitted = self._fitted(form, inputs, int(fractions.min()))
            except NoTable as error:
                refused = refused or error
                continue
            if refused is not None:
                self.notes.append(
                    f"{self._function.name}: its output has {n_o} fractional bits instead of {output.fraction}, with "
                    f"which no table of {self._function_name} is within {self.options.activation_error:g} ULP"
                )
            return form, activated, fitted
        assert refused is not None
        raise refused

    def _fitted(self, output: Format, inputs: Inputs, finest: int) -> tuple[Activated, Fitted]:
        limit, name = self.options.activation_error, self._function.name
        try:
            if isinstance(self._function, PRelu):
                return fitted_slopes(self._function.slopes, output, inputs, finest, limit)
            fitted = fitted_activation(self._function.formula, output, inputs, finest, limit)
        except ValueError as error:
            way_on = "--activation-error allows more, --outputs ends the network before it"
            raise NoTable(f"{name}: {error}: {way_on}") from None
        return Activated(table=fitted.table, word=fitted.word), fitted

    def _function_alone(self) -> Layer:
        """Lower a function that no layer with weights takes in: a product of each channel by 1."""
        codes, x = self.inputs[0]
        residual = self._residual
        goal = self._function_goal(residual)
        usual, most = COPY_SHIFTS
        up = min(max(usual, goal.form.fraction - x.fraction), most)  # sums as fine as the result, if they can be
        sums = (self._sampled(codes).astype(np.int64) - x.zero) << up
        fractions = np.full(sums.shape[1], x.fraction + up)
        tries = goal.fractions(fractions.tolist())
        output = replace(goal.form, fraction=min(tries, key=lambda n_o: goal.errors(sums, fractions, n_o).sum()))
        w = Format(width=up + 2, signed=True, fraction=up)

        def layer_of(output: Format, activated: Activated) -> layers.Weighted:
            return self._channelwise(
                self._point, w, output, residual=residual[1] if residual else None, activation=activated
            )

        return self._activated(layer_of, goal, sums, fractions, output)

    def _weighted_function(
        self, goal: FunctionGoal, columns: Codes, parts: dict[str, Any], output: Format, residual: Format | None
    ) -> Layer:
        """Return a convolution or matrix product with a function behind it.

        Parameters
        ----------
        goal
            The target.
        columns
            Inputs at the sampled positions, (positions, taps * channels), zero point taken off.
        parts
            Weights, bias and their formats, as a layer has them.
        output, residual
            Formats of the result, and of what is added behind the function.
        """
        window, b, count = parts["window"], parts["b"], len(parts["bias"])
        own = parts["w_fractions"] or [parts["w"].fraction] * count
        fractions = parts["x"].fraction + np.asarray(own, dtype=np.int64)
        sums = layers.grouped_matmul(columns, parts["weights"], parts["groups"], window.taps if window else 1)
        sums = sums + align(parts["bias"], fractions - b.fraction, self._way.rounding)

        def layer_of(output: Format, activated: Activated) -> layers.Weighted:
            return layers.Weighted(**self._rounded(output), **parts, residual=residual, activation=activated)

        return self._activated(layer_of, goal, sums, fractions, output)


def function_values(function: Pointwise | PRelu, ends: tuple[float, float]) -> Reals:
    """Return what a function gives between two ends of its inputs; of slopes by channel, of the steepest."""
    places = np.linspace(*ends, 257)
    if isinstance(function, PRelu):
        return np.where(places < 0, float(np.abs(function.slopes).max()) * places, places)
    return function.function(places)


def residual_fits(reference: Reals, given: Reals, signed: bool, residual: Format, fixed: Format | None) -> bool:
    """Whether an activation unit can add a tensor behind a function.

    Parameters
    ----------
    reference, given
        The real sum, and what the function gives by itself.
    signed
        Whether the sum can be negative.
    residual
        Format of what is added.
    fixed
        The sum's format where a quantizer states it.
    """
    if residual.zero or residual.mantissa != 1 or residual.width > WORDS.OUT_WIDTH:
        return False
    if fixed is not None:
        return 0 <= residual.fraction - fixed.fraction <= RESIDUAL_SHIFTS
    form = Format(width=WORDS.OUT_WIDTH, signed=signed, fraction=0)
    coarsest = min((estimate(values, form) for values in (reference, given) if values.any()), default=residual.fraction)
    return residual.fraction - coarsest <= RESIDUAL_SHIFTS + 1

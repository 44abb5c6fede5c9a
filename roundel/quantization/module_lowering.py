"""The lowering of one unified module to an integer layer: chooses formats and encodes constants."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from math import inf
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from roundel.golden import network as layers
from roundel.golden.errors import InputError
from roundel.golden.formats import Format, align, signed_width
from roundel.golden.network import MAX_SHIFT, InputRounding, Layer, Window, patches, window_count
from roundel.golden.rounding import Ints, Rounding
from roundel.graph import (
    ROUNDINGS,
    Add,
    AveragePool,
    Concat,
    Conv,
    Dense,
    Flatten,
    Graph,
    MaxPool,
    Node,
    Quantize,
    Reals,
    Upsample,
    maker,
)
from roundel.quantization.calibration import Codes, sample_positions, steps_in_batches
from roundel.quantization.given import Given, given_bias
from roundel.quantization.means import is_exact, mean_bias
from roundel.quantization.modules import Module, feature_order, input_quantizers
from roundel.quantization.quantizers import Lift, Way, given_format, way_of
from roundel.quantization.search import Goal, QuantizeOptions, around, estimate, search_output, squared_error
from roundel.quantization.search_weights import WeightedSearch

MULTIPLIER_BITS = 12  # of a mean whose number of taps is no power of two: 1 / taps to one part in 2000
MOST_MULTIPLIER_BITS = 26  # where a quantizer wants it exact
ROOM = 6  # bits by which features by themselves are shifted left first, so that a quantizer may be finer

AverageLayer = layers.AveragePool | layers.Weighted
AnyLayer = TypeVar("AnyLayer", bound=layers.Requantized)


@dataclass(frozen=True, eq=False)
class ModuleLowering:
    """One module on its way to an integer layer.

    Parameters
    ----------
    graph, module
        The module.
    inputs
        Values of its sources on the calibration images, and their formats.
    reference
        Real results to approximate, in the integer network's order of axes and features.
    options
        Options of the quantization.
    given
        Weights of the module, if they are integers already.

    Attributes
    ----------
    notes
        After `layer`: what a user should know of it, a sentence each.
    """

    graph: Graph
    module: Module
    inputs: list[tuple[Codes, Format]]
    reference: Reals
    options: QuantizeOptions
    given: Given | None
    notes: list[str] = field(default_factory=list)

    def layer(self) -> Layer:
        """Return the integer layer with the best fractional bits."""
        if not np.isfinite(self.reference).all():
            where = f"{self.graph.file}: node {self.module.name}"
            raise InputError(f"{where}: expected finite results on the calibration images, but some are infinite")
        try:
            self._check_orders()
            return self._layer(self.module.node)
        except InputError:
            raise
        except ValueError as error:  # a layer refuses, such as one whose summands are hopelessly far apart
            named = str(error).startswith(tuple(f"{node.name}: " for node in self.module.nodes))
            said = str(error) if named else f"{self.module.name}: {error}"
            raise InputError(f"{self.graph.file}: node {said}") from error

    def _layer(self, node: Node) -> Layer:
        form = self.inputs[0][1]
        match node:
            case Conv() | Dense():
                return self._weighted(node)
            case Add():
                return self._add()
            case AveragePool():
                return self._average(node)
            case MaxPool():
                return layers.MaxPool(**self._common(form), window=node.window)
            case Upsample():
                return layers.Upsample(**self._common(form), factor=node.factor)
            case Flatten():
                return layers.Flatten(**self._common(form))
            case Concat():
                return self._concat()
        return self._elementwise()

    def _common(self, output: Format) -> dict[str, Any]:
        return {"name": self.module.name, "sources": self.module.sources, "output": output}

    def _requantized(self, output: Format) -> dict[str, Any]:
        rest = {"rounding": self._way.rounding, "bounds": self._goal.bounds(output), "leak": self._goal.activation.leak}
        return self._common(output) | rest

    @cached_property
    def _way(self) -> Way:
        """How the layer rounds: as the network says, but for halves of the nearest, which are the options'."""
        quantizer, rounding = self.module.quantizer, self.options.rounding
        assert rounding is not None
        if quantizer is None or quantizer.rounding == "ROUND":
            return Way(rounding=rounding)
        way = way_of(quantizer, self.module.activation)
        if way.lift is not Lift.NONE and self.module.activation.leak:
            raise ValueError(f"{quantizer.name}: no requantizer rounds by {quantizer.rounding} behind a LeakyRelu")
        return way

    @cached_property
    def _sample(self) -> Ints:
        images, positions = len(self.reference), int(np.prod(self.reference.shape[1:-1]))
        return sample_positions(images, positions, self.options.positions, self.options.seed)

    def _sampled(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the sampled positions of a tensor (batch, ..., channels) that has as many as the result."""
        return values[np.unravel_index(self._sample, values.shape[:-1])]

    @cached_property
    def _goal(self) -> Goal:
        """The target of the search. An output that cannot be negative is unsigned, which gains a bit."""
        activation, quantizer, limits = self.module.activation, self.module.quantizer, None
        if quantizer is not None:
            form, limits = given_format(self.graph, quantizer, activation)
        else:
            inputs_signed = isinstance(self.module.node, Conv | Dense) or any(
                may_be_negative(x) for _, x in self.inputs
            )
            signed = activation.signed and inputs_signed
            form = Format(width=self.options.bits_after(self.module.name), signed=signed, fraction=0)
            fraction = estimate(self.reference, form) if self.reference.any() else self._blank(form)
            form = replace(form, fraction=fraction)
        return Goal(
            values=self._sampled(self.reference).astype(np.float64),
            form=form,
            fixed=quantizer is not None,
            activation=activation,
            options=self.options,
            way=self._way,
            limits=limits,
        )

    def _blank(self, form: Format) -> int:
        """Fractional bits of a result that is 0 on all calibration images, so that nobody knows its magnitude.

        [R] Those at which `form` holds the greatest input, or the greatest product of an input and a weight. The next
        layer's bias counts units of this scale: a coarse one would round it away.
        """
        x, node = self.inputs[0][1], self.module.node
        most = max(abs(limit - x.zero) for limit in x.limits) * x.scale
        if isinstance(node, Conv | Dense) and node.weights.any():
            most *= float(np.abs(node.weights).max())
        return estimate(np.asarray(most), form)

    def _weighted(self, node: Conv | Dense) -> Layer:
        codes, x = self.inputs[0]
        codes = codes - np.int16(x.zero)
        window, taps, groups = None, 1, 1
        if isinstance(node, Conv):
            window, taps, groups = node.window, node.window.taps, node.groups
            columns = _columns(codes, window, self._sample)
        else:
            columns = self._sampled(codes)
        residual = None
        if len(self.inputs) > 1:
            form = self.inputs[1][1]
            residual = self._sampled(self.inputs[1][0]).astype(np.int64) - form.zero, form
        chosen = WeightedSearch(
            columns=columns,
            weights=self._matrix(node),
            bias=node.bias,
            x=x,
            groups=groups,
            taps=taps,
            residual=residual,
            bits=self.given.format.width if self.given else self.options.bits_of(self.module.name),
            goal=self._goal,
            given=self._given_matrix(node),
            given_bias=self._given_bias(node, x),
        ).best()
        layer = layers.Weighted(
            **self._requantized(chosen.output),
            weights=chosen.weights,
            bias=chosen.b.encode(node.bias),
            x=x,
            w=chosen.w,
            b=chosen.b,
            window=window,
            residual=residual[1] if residual else None,
            groups=groups,
            w_fractions=chosen.w_fractions,
        )
        return lifted(layer, self._way)

    def _matrix(self, node: Conv | Dense) -> NDArray[Any]:
        """Return the weights as a matrix, its rows in the integer order."""
        if isinstance(node, Conv):
            return node.matrix
        order = feature_order(self.graph, node.inputs[0])
        return node.weights if order is None else node.weights[order]

    def _given_matrix(self, node: Conv | Dense) -> tuple[Ints, Ints] | None:
        if self.given is None:
            return None
        if self.given.codes.shape != node.weights.shape:
            raise ValueError(f"{node.name}: codes {self.given.codes.shape} for weights {node.weights.shape}")
        matrix = self._matrix(replace(node, weights=self.given.codes.astype(np.float64)))
        return matrix.astype(np.int64), np.broadcast_to(self.given.weight_fractions, node.bias.shape)

    def _given_bias(self, node: Conv | Dense, x: Format) -> Format | None:
        """Return an exact format of the bias, where the network gives whole numbers of the accumulator's units."""
        return None if self.given is None else given_bias(node.bias, x.fraction + self.given.weight_fractions)

    def _add(self) -> Layer:
        (left, x), (right, y) = self.inputs
        most = max(x.fraction, y.fraction)
        if self._way.lift is not Lift.NONE or (self._goal.fixed and self._goal.form.fraction > most):
            up = max(most, self._goal.form.fraction) - x.fraction
            w = Format(width=up + 2, signed=True, fraction=up)
            return lifted(self._channelwise(self._point, w, self._goal.form, residual=y), self._way)
        output = replace(self._goal.form, fraction=most)
        layer = layers.Add(**self._common(output), rounding=self._way.rounding, x=x, y=y)
        pair = (self._sampled(codes).astype(np.int64) for codes in (left, right))
        accumulators = layer.compute(*pair).accumulators
        assert accumulators is not None
        return self._finish(layer, accumulators)

    @property
    def _point(self) -> Window | None:
        """The window of a layer that works on each value alone; features have none."""
        return Window(kernel=(1, 1)) if self.inputs[0][0].ndim == 4 else None

    def _channelwise(
        self, window: Window | None, w: Format, output: Format, *, bias: int = 0, residual: Format | None = None
    ) -> layers.Weighted:
        """Return a convolution in which every channel has one weight, that of a mean: what has a bias, as means do not.

        Parameters
        ----------
        window
            What the mean is of; None for features by themselves.
        w
            Format of the weight.
        output, residual
            Formats of the result, and of a tensor that is added.
        bias
            In units of the products.
        """
        x, channels, taps = self.inputs[0][1], self.inputs[0][0].shape[-1], window.taps if window else 1
        return layers.Weighted(
            **self._requantized(output),
            weights=np.full((taps, channels), int(w.encode(np.asarray(1 / taps)))),
            bias=np.full(channels, bias),
            x=x,
            w=w,
            b=self._bias_unit(max(2, signed_width(min(bias, 0), max(bias, 0))), x.fraction + w.fraction),
            window=window,
            residual=residual,
            groups=channels,
        )

    def _bias_unit(self, width: int, fraction: int) -> Format:
        """Return the format of a bias that counts units of products."""
        return Format(width=width, signed=True, fraction=fraction)

    def _check_orders(self) -> None:
        """Raise ValueError if a flattened map is added to features that have no such order."""
        for node in self.module.nodes:
            if isinstance(node, Add):
                orders = [feature_order(self.graph, name) for name in node.inputs]
                left, right = (None if order is None else order.tolist() for order in orders)
                if left != right:
                    raise ValueError(f"{node.name}: a flattened map cannot be added to features that are none")

    def _average(self, node: AveragePool) -> Layer:
        """Lower a mean; the multiplier is exact if all windows have a power of two of taps, else as fine as can be."""
        shape = self.graph.shapes[node.inputs[0]]
        window, rows, columns = node.over(shape), shape[1], shape[2]
        counts = np.asarray(window.taps) if node.count_padding else window_count(rows, columns, window)
        if (counts == window.taps).all() and window.taps & (window.taps - 1) == 0:
            w = Format(width=MULTIPLIER_BITS, signed=True, fraction=window.taps.bit_length() - 1)
            return self._pool(window, w, count_padding=node.count_padding)
        w = Format(width=MULTIPLIER_BITS, signed=True, fraction=0)
        w = replace(w, fraction=estimate(1 / np.maximum(counts, 1), w))
        return self._inexact_mean(window, w, sorted(set(counts.ravel().tolist())), count_padding=node.count_padding)

    def _inexact_mean(self, window: Window, w: Format, counts: list[int], *, count_padding: bool) -> Layer:
        """Lower a mean whose multiplier is not exact: behind a quantizer to one of so many bits that all results are.

        Raises
        ------
        ValueError
            There is none: the mean may lie just where it rounds to another integer.
        """
        quantizer = self.module.quantizer
        if not self._is_told(quantizer):
            return self._pool(window, w, count_padding=count_padding)
        assert quantizer is not None
        rounding = ROUNDINGS[quantizer.rounding]
        if quantizer.rounding == "ROUND":
            rounding = InputRounding(self._way.rounding.value)
        counts = [count for count in counts if count]
        for more in range(MOST_MULTIPLIER_BITS - w.width):
            finer = replace(w, width=w.width + more, fraction=w.fraction + more)
            layer = self._pool(window, finer, count_padding=count_padding)
            if self._way.lift is Lift.NONE and is_exact(layer, counts, rounding):
                return layer
            bias = mean_bias(window.taps, layer.expects[0], layer.w, layer.output, rounding)
            if bias is not None and len(counts) == 1 and self._way.rounding is Rounding.FLOOR:
                layer = self._channelwise(window, layer.w, layer.output, bias=bias)
                if is_exact(layer, counts, rounding):
                    return layer
        means = f"means of {' or '.join(map(str, counts))} values"
        raise ValueError(
            f"{quantizer.name}: no multiplier rounds all {means} by {quantizer.rounding}: some lie at a half"
        )

    def _is_told(self, quantizer: Quantize | None) -> bool:
        """Whether the network says exactly what a mean rounds to."""
        return quantizer is not None

    def _pool(self, window: Window, w: Format, *, count_padding: bool) -> AverageLayer:
        codes, x = self.inputs[0]
        if self._goal.fixed:  # which may be finer than the input: a multiplier twice as large is a bit more
            w = replace(w, fraction=max(w.fraction, self._goal.form.fraction - x.fraction))
        output = replace(self._goal.form, fraction=x.fraction + w.fraction)
        layer = layers.AveragePool(
            **self._common(output), rounding=self._way.rounding, x=x, w=w, window=window, count_padding=count_padding
        )
        layer = self._finish(layer, self._sampled_accumulators(layer, codes))
        if self._way.lift is Lift.NONE or layer.multiplier == 0:
            return layer
        if not count_padding and any(window.pad):
            raise ValueError(f"{self.module.name}: means of several numbers of values have no bias to round with")
        return lifted(self._channelwise(window, w, layer.output), self._way)

    def _sampled_accumulators(self, layer: layers.Requantized, codes: Codes) -> Ints:
        """Return what enters the requantizer of a layer at the sampled positions, (positions, channels)."""
        first, sums = 0, []
        for _, step in steps_in_batches(layer, [codes]):
            assert step.accumulators is not None
            last = first + len(step.accumulators)
            sums.append(step.accumulators[self._sample[(self._sample >= first) & (self._sample < last)] - first])
            first = last
        return np.concatenate(sums)

    def _finish(self, layer: AnyLayer, accumulators: Ints) -> AnyLayer:
        """Give a layer without weights of its own, made with shift 0, the best fractional bits of its output."""
        output = search_output(accumulators, layer.accumulator_fractions.repeat(accumulators.shape[1]), self._goal)
        return replace(layer, **self._requantized(output))

    def _concat(self) -> Layer:
        """Concatenation, or one tensor by itself, moved to the fractional bits of least error."""
        goal, forms = self._goal, tuple(form for _, form in self.inputs)
        fractions = [form.fraction for form in forms]
        tries: Any = [goal.form.fraction]
        if not goal.fixed:
            tries = around(
                goal.form.fraction, self.options.window, max(fractions) - MAX_SHIFT, min(fractions) + MAX_SHIFT
            )
        sampled = [self._sampled(codes).astype(np.int64) for codes, _ in self.inputs]

        def candidate(fraction: int) -> Layer:
            output = replace(goal.form, fraction=fraction)
            return layers.Concat(**self._common(output), rounding=self._concat_rounding(output), inputs=forms)

        def error(layer: Layer) -> float:
            return squared_error(layer.compute(*sampled).outputs, layer.output, goal.values)

        best = min(map(candidate, tries), key=error)
        if not self._moves_only(best.output) and (goal.activation.leak or goal.bounds(best.output) is not None):
            raise ValueError(f"{self.module.name}: a clamp cannot follow a concatenation")
        return best

    def _concat_rounding(self, output: Format) -> Rounding:
        """Return the rounding of a concatenation, which has no bias; where nothing rounds it is the options'."""
        if self._moves_only(output):
            assert self.options.rounding is not None
            return self.options.rounding
        if self._way.lift is not Lift.NONE:
            raise ValueError(f"{self.module.name}: a concatenation has no bias to round with")
        return self._way.rounding

    def _moves_only(self, output: Format) -> bool:
        """Whether all sources have the output's format, so that a quantizer has nothing left to do."""
        return self.module.quantizer is not None and all(form == output for _, form in self.inputs)

    def _elementwise(self) -> Layer:
        """Lower an activation or quantization by itself: means of one value, for features a product by one weight."""
        if self._repeats():
            return self._copy()
        if self._point is None:
            return self._concat() if self._is_plain() else self._features()
        return self._pool(self._point, Format(width=MULTIPLIER_BITS, signed=True, fraction=0), count_padding=True)

    def _repeats(self) -> bool:
        """Whether the module is a quantizer alone, of what went through the same one."""
        node = self.module.node
        if not isinstance(node, Quantize):
            return False
        before = maker(self.graph, node.inputs[0])
        if before is None:
            return node in input_quantizers(self.graph)
        return isinstance(before, Quantize) and before.grid == node.grid

    def _copy(self) -> Layer:
        """Return a layer that changes nothing, whatever the format: a concatenation of one."""
        form, rounding = self.inputs[0][1], self.options.rounding
        assert rounding is not None
        rounding = self.options.requant.default_rounding if "rounding" in self.options.requant.fixed else rounding
        return layers.Concat(**self._common(form), inputs=(form,), rounding=rounding, requant=self.options.requant)

    def _is_plain(self) -> bool:
        """Whether the limits of a format are all the clamp there is, and nothing is added before rounding."""
        activation = self.module.activation
        clamps = bool(activation.leak) or activation.high < inf or activation.low not in (-inf, 0)
        return self._way.lift is Lift.NONE and (self._goal.limits is None if self._goal.fixed else not clamps)

    def _features(self) -> Layer:
        codes, x = self.inputs[0]
        up = max(ROOM, self._goal.form.fraction - x.fraction) if self._goal.fixed else ROOM
        w = Format(width=up + 2, signed=True, fraction=up)
        accumulators = (self._sampled(codes).astype(np.int64) - x.zero) << up
        fractions = np.full(accumulators.shape[1], x.fraction + up)
        output = search_output(accumulators, fractions, self._goal)
        return lifted(self._channelwise(None, w, output), self._way)


def lifted(layer: layers.Weighted, way: Way) -> layers.Weighted:
    """Return a layer that shifts by `floor`, with what makes it round as `way` says added to its bias.

    Raises
    ------
    ValueError
        The bias would be wider than 32 bits, or a residual is finer than the products, which the bias is added to.
    """
    if way.lift is Lift.NONE:
        return layer
    fractions = layer.product_fractions
    if (layer.accumulator_fractions > fractions).any():
        raise ValueError(f"{layer.name}: a sum with a residual finer than its products rounds only as requantizers do")
    units = align(layer.bias, fractions - layer.b.fraction, layer.rounding) + way.lift.units(layer.shifts)
    fraction = int(fractions.max())
    bias = units << (fraction - fractions)
    b = replace(layer.b, width=max(2, signed_width(int(bias.min()), int(bias.max()))), fraction=fraction)
    return replace(layer, bias=bias, b=b)


def may_be_negative(form: Format) -> bool:
    """Whether an integer of the format means a negative number."""
    return form.limits[0] < form.zero


def _columns(codes: Codes, window: Window, positions: Ints) -> Codes:
    """Return some rows of `roundel.golden.network.im2col`, without making the others: (positions, taps * channels)."""
    view = patches(codes, window)
    return view[np.unravel_index(positions, view.shape[:3])].reshape(len(positions), -1)

"""The lowering of one unified module to an integer layer: chooses formats and encodes constants."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.golden import network as layers
from roundel.golden.errors import InputError
from roundel.golden.formats import Format
from roundel.golden.network import MAX_SHIFT, Layer, Window, patches, window_count
from roundel.golden.rounding import Ints
from roundel.graph import Add, AveragePool, Concat, Conv, Dense, Flatten, Graph, MaxPool, Node, Reals, Upsample
from roundel.quantization.calibration import Codes, sample_positions, steps_in_batches
from roundel.quantization.given import Given, given_bias, given_format
from roundel.quantization.modules import Module, feature_order
from roundel.quantization.search import Goal, QuantizeOptions, around, estimate, search_output, squared_error
from roundel.quantization.search_weights import WeightedSearch

MULTIPLIER_BITS = 12  # of a mean whose number of taps is no power of two: 1 / taps to one part in 2000


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
        activation = self._goal.activation
        rest = {"rounding": self.options.rounding, "bounds": activation.bounds(output), "leak": activation.leak}
        return self._common(output) | rest

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
        activation, quantizer = self.module.activation, self.module.quantizer
        if quantizer is not None:
            form, activation = given_format(self.graph, quantizer, activation)
        else:
            inputs_signed = isinstance(self.module.node, Conv | Dense) or any(x.signed for _, x in self.inputs)
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
        window, taps, groups = None, 1, 1
        if isinstance(node, Conv):
            window, taps, groups = node.window, node.window.taps, node.groups
            columns = _columns(codes, window, self._sample)
        else:
            columns = self._sampled(codes)
        residual = None
        if len(self.inputs) > 1:
            residual = self._sampled(self.inputs[1][0]).astype(np.int64), self.inputs[1][1]
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
        return layers.Weighted(
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
        output = replace(self._goal.form, fraction=max(x.fraction, y.fraction))
        layer = layers.Add(**self._common(output), rounding=self.options.rounding, x=x, y=y)
        pair = (self._sampled(codes).astype(np.int64) for codes in (left, right))
        accumulators = layer.compute(*pair).accumulators
        assert accumulators is not None
        return self._finish(layer, accumulators)

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
        w = Format(width=MULTIPLIER_BITS, signed=True, fraction=0)
        w = replace(w, fraction=estimate(1 / np.maximum(counts, 1), w))
        if (counts == window.taps).all() and window.taps & (window.taps - 1) == 0:
            w = replace(w, fraction=window.taps.bit_length() - 1)
        return self._pool(window, w, count_padding=node.count_padding)

    def _pool(self, window: Window, w: Format, *, count_padding: bool) -> Layer:
        codes, x = self.inputs[0]
        if self._goal.fixed:  # which may be finer than the input: a multiplier twice as large is a bit more
            w = replace(w, fraction=max(w.fraction, self._goal.form.fraction - x.fraction))
        output = replace(self._goal.form, fraction=x.fraction + w.fraction)
        layer = layers.AveragePool(
            **self._common(output), rounding=self.options.rounding, x=x, w=w, window=window, count_padding=count_padding
        )
        return self._finish(layer, self._sampled_accumulators(layer, codes))

    def _sampled_accumulators(self, layer: layers.Requantized, codes: Codes) -> Ints:
        """Return what enters the requantizer of a layer at the sampled positions, (positions, channels)."""
        first, sums = 0, []
        for _, step in steps_in_batches(layer, [codes]):
            assert step.accumulators is not None
            last = first + len(step.accumulators)
            sums.append(step.accumulators[self._sample[(self._sample >= first) & (self._sample < last)] - first])
            first = last
        return np.concatenate(sums)

    def _finish(self, layer: layers.Requantized, accumulators: Ints) -> Layer:
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
            return layers.Concat(**self._common(output), rounding=self.options.rounding, inputs=forms)

        def error(layer: Layer) -> float:
            return squared_error(layer.compute(*sampled).outputs, layer.output, goal.values)

        best = min(map(candidate, tries), key=error)
        if goal.activation.leak or goal.activation.bounds(best.output) is not None:
            what = "Clip, LeakyRelu or a narrow range"
            raise ValueError(f"{self.module.name}: {what} cannot follow a concatenation, or features by itself")
        return best

    def _elementwise(self) -> Layer:
        """Lower an activation or quantization by itself: means of one value, for features a concatenation of one."""
        if self.inputs[0][0].ndim != 4:
            return self._concat()
        w = Format(width=MULTIPLIER_BITS, signed=True, fraction=0)
        return self._pool(Window(kernel=(1, 1)), w, count_padding=True)


def _columns(codes: Codes, window: Window, positions: Ints) -> Codes:
    """Return some rows of `roundel.golden.network.im2col`, without making the others: (positions, taps * channels)."""
    view = patches(codes, window)
    return view[np.unravel_index(positions, view.shape[:3])].reshape(len(positions), -1)

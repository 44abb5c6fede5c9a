"""The lowering of one unified module to an integer layer: chooses formats and encodes constants."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.golden import network as layers
from roundel.golden.errors import InputError
from roundel.golden.formats import Format
from roundel.golden.network import Layer, Window, patches
from roundel.golden.rounding import Ints
from roundel.graph import (
    Add,
    AveragePool,
    Concat,
    Conv,
    Dense,
    DepthToSpace,
    Fill,
    Flatten,
    Gate,
    Interpolate,
    MaxPool,
    Node,
    Select,
    Upsample,
)
from roundel.quantization.calibration import Codes
from roundel.quantization.cures import cured
from roundel.quantization.function_lowering import FunctionGoal, FunctionLowering
from roundel.quantization.function_tables import NoTable, Untabled
from roundel.quantization.given import given_bias
from roundel.quantization.lowering_base import lifted
from roundel.quantization.modules import feature_order
from roundel.quantization.quantizers import Lift
from roundel.quantization.search_weights import Triple, WeightedSearch


class ModuleLowering(FunctionLowering):
    """One module on its way to an integer layer."""

    def layer(self) -> Layer:
        """Return the integer layer with the best fractional bits; raise Untabled if its function has no table."""
        if not np.isfinite(self.reference).all():
            where = f"{self.graph.file}: node {self.module.name}"
            raise InputError(f"{where}: expected finite results on the calibration images, but some are infinite")
        try:
            self._check_orders()
            return self._layer(self.module.node)
        except InputError:
            raise
        except NoTable as error:
            raise Untabled(f"{self.graph.file}: node {error}", {self._function.name: str(error)}) from None
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
            case Gate():
                return self._gate()
            case AveragePool():
                return self._average(node)
            case Interpolate():
                return self._interpolate(node)
            case MaxPool():
                return layers.MaxPool(**self._common(form), window=node.window)
            case Upsample():
                return layers.Upsample(**self._common(form), factor=node.factor)
            case Fill():
                return layers.Fill(
                    **self._common(form), value=int(form.encode(np.asarray(node.value))), count=node.count
                )
            case Flatten():
                return layers.Flatten(**self._common(form))
            case Select():
                return layers.Select(**self._common(form), channels=node.channels)
            case DepthToSpace():
                return layers.DepthToSpace(**self._common(form), factor=node.factor, by_channel=node.by_channel)
            case Concat():
                return self._concat()
        return self._elementwise() if self.module.function is None else self._function_alone()

    def _weighted(self, node: Conv | Dense) -> Layer:
        (codes, x), node = self.inputs[0], self._exact(node)
        codes = codes - np.int16(x.zero) if x.zero else codes
        window, taps, groups = None, 1, 1
        if isinstance(node, Conv):
            window, taps, groups = node.window, node.window.taps, node.groups
            columns = _columns(codes, window, self._sample)
        else:
            columns = self._sampled(codes)
        function, residual = self.module.function, None
        if len(self.inputs) > 1:
            form = self.inputs[1][1]
            residual = self._sampled(self.inputs[1][0]).astype(np.int64) - form.zero, form
        goal = self._goal if function is None else self._function_goal(residual)
        search = WeightedSearch(
            columns=columns,
            weights=self._matrix(node),
            bias=node.bias,
            x=x,
            groups=groups,
            taps=taps,
            residual=residual if function is None else None,
            bits=self.given.format.width if self.given else self.options.bits_of(self.module.name),
            goal=goal,
            given=self._given_matrix(node),
            given_bias=self._given_bias(node, x),
        )
        search, chosen = self._best(search, node)
        parts: dict[str, Any] = {
            "weights": chosen.weights,
            "bias": chosen.b.encode(search.bias),
            "x": x,
            "w": chosen.w,
            "b": chosen.b,
            "window": window,
            "groups": groups,
            "w_fractions": chosen.w_fractions,
        }
        added = residual[1] if residual else None
        if isinstance(goal, FunctionGoal):
            return self._weighted_function(goal, columns, parts, chosen.output, added)
        return lifted(layers.Weighted(**self._requantized(chosen.output), **parts, residual=added), self._way)

    def _best(self, search: WeightedSearch, node: Conv | Dense) -> tuple[WeightedSearch, Triple]:
        """Return the best formats, and the search for them.

        Behind a channel of ones its weights take what each tap of all others loses at the mean of the image, and the
        bias what is left of that within the map: so that rounded weights move no result.
        """
        chosen, fill = search.best(), self.graph.maker(node.inputs[0])
        if self.given is not None:
            return search, chosen
        if not isinstance(fill, Fill):
            return cured(search, chosen, self.cures)
        (codes, x), outputs = self.inputs[0], len(node.bias)
        n_w = chosen.fractions
        means = (codes.mean(axis=(0, 1, 2), dtype=np.float64) - x.zero) * x.scale
        exact, held = (matrix.reshape(-1, len(means), outputs) for matrix in (self._matrix(node), chosen.weights))
        wanted = np.einsum("tco,c->to", exact, means)
        for channel in range(len(means) - fill.count, len(means)):
            lost = wanted - np.einsum("tco,c->to", np.ldexp(held.astype(np.float64), -n_w), means)
            more = np.rint(np.ldexp(lost / means[channel], n_w)) if means[channel] else 0 * lost
            held[:, channel] = np.clip(held[:, channel] + more, *self.options.weight_limits(chosen.w.width))
        lost = wanted - np.einsum("tco,c->to", np.ldexp(held.astype(np.float64), -n_w), means)
        given = held.reshape(chosen.weights.shape), n_w
        search = replace(search, bias=node.bias + lost.sum(axis=0), given=given)
        return search, search.best()

    def _exact(self, node: Conv | Dense) -> Conv | Dense:
        """Return a node whose weights count what a channel of ones holds as an integer, not what it should hold."""
        fill, x = self.graph.maker(node.inputs[0]), self.inputs[0][1]
        if not isinstance(fill, Fill) or self.given is not None:
            return node
        held = float(x.decode(x.encode(np.asarray(fill.value))))
        weights = node.weights.astype(np.float64)
        weights[:, -fill.count :] *= fill.value / held if held else 0
        return replace(node, weights=weights.astype(np.float32))

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

    def _check_orders(self) -> None:
        """Raise ValueError if a flattened map is added to, or multiplied by, features that have no such order."""
        for node in self.module.nodes:
            if isinstance(node, Add | Gate):
                orders = [feature_order(self.graph, name) for name in node.inputs]
                left, right = (None if order is None else order.tolist() for order in orders)
                joined = "added to" if isinstance(node, Add) else "multiplied by"
                if left != right:
                    raise ValueError(f"{node.name}: a flattened map cannot be {joined} features that are none")


def _columns(codes: Codes, window: Window, positions: Ints) -> Codes:
    """Return some rows of `roundel.golden.network.im2col`, without making the others: (positions, taps * channels)."""
    view = patches(codes, window)
    return view[np.unravel_index(positions, view.shape[:3])].reshape(len(positions), -1)

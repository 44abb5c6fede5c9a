"""Lowering: layers become operations on tensors, each with a layout in memory."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from roundel.compiler.lower_moves import (
    MOST_ACROSS,
    can_spread,
    check_across,
    outside,
    pixels_outside,
    spread,
    spread_copy,
    spreads,
    view,
    wide_slots,
)
from roundel.compiler.lower_pool import add, average, copy, maximum
from roundel.compiler.lower_weighted import depthwise_slots, is_depthwise, weighted, window_of
from roundel.compiler.operation import Operation
from roundel.compiler.refusal import SHIFTS, EngineError
from roundel.compiler.steps import row_steps
from roundel.compiler.tensor import Storage, Tensor, dense_slots, planes_of
from roundel.golden.engine import EngineParams
from roundel.golden.errors import InputError
from roundel.golden.formats import Format
from roundel.golden.network import (
    Add,
    AveragePool,
    Concat,
    DepthToSpace,
    Flatten,
    Layer,
    MaxPool,
    Network,
    Requantized,
    Select,
    Upsample,
    Weighted,
    Window,
)
from roundel.golden.requant import Scheme
from roundel.golden.rounding import Ints, Rounding

Shape = tuple[int, ...]

INTERLEAVE = (1, 2, 4, 8)  # rows of the input in one of the map


class Lowering:
    """The operations of a network.

    Parameters
    ----------
    network
        What to compile.
    shape
        Shape of an image: (rows, columns, channels), or (features,).
    params
        The engine's.
    heads
        Layers that the box decoder reads.

    Attributes
    ----------
    tensors
        The input and every layer's result by name.
    operations
        In the order of the layers.

    Raises
    ------
    InputError
        A layer that the engine cannot run, by its name.
    """

    def __init__(self, network: Network, shape: Shape, params: EngineParams, heads: Collection[str] = ()):
        self.params, self._outside = params, outside(network, heads)
        self.tensors: dict[str, Tensor] = {}
        self.operations: list[Operation] = []
        self.tensors[network.source] = self._input(network, shape)
        self._joined, self._views = set[Storage](), set[Storage]()
        spreading = spreads(network)
        for layer in network.layers:
            if layer.name in self.tensors:
                continue  # made by the layer before it
            self._check(layer)
            moved = spreading.get(layer.name)
            sources = [self.tensors[name] for name in layer.sources]
            try:
                if isinstance(layer, Weighted) and moved is not None and can_spread(layer, moved, sources[0]):
                    self.tensors[moved.name] = self.spread(moved, sources[0], layer)
                    continue
                self.tensors[layer.name] = RULES[type(layer)](self, layer, *sources)
            except InputError:
                raise
            except (ValueError, KeyError) as error:
                raise InputError(f"{layer.name}: cannot be compiled for images of {shape} ({error})") from None

    def check_sums(self) -> None:
        """Raise InputError for an operation whose sums do not fit the array."""
        for operation in self.operations:
            operation.check_sums(self.params)

    @property
    def storages(self) -> list[Storage]:
        """All maps that are no parts of others, in order."""
        tensors = [*self.tensors.values(), *(operation.target for operation in self.operations)]
        return list(dict.fromkeys(tensor.storage.root[0] for tensor in tensors))

    def dense(self, name: str) -> Tensor:
        """Return a tensor, or a copy of it, whose channels follow one another."""
        tensor = self.tensors[name]
        return self.repacked(name, tensor, dense_slots(len(tensor.slots)))

    def _input(self, network: Network, shape: Shape) -> Tensor:
        if len(shape) not in (1, 3) or min(shape) < 1:
            raise InputError(f"input shape: expected rows, columns and channels, or features, not {shape}")
        rows, columns, channels = shape if len(shape) == 3 else (1, 1, shape[0])
        lanes = self.params.lanes
        side_by_side = channels < lanes and _only_products(network, channels)
        interleave = _interleave(network, channels, lanes) if side_by_side else 1
        held = -(-rows // interleave)
        storage = Storage(
            name=network.source, rows=held, columns=columns, lanes=lanes, interleave=interleave,
            missing=held * interleave - rows, planes=1 if side_by_side else -(-channels // lanes),
            pixel=interleave * channels if side_by_side else 0,
        )  # fmt: skip
        slots = dense_slots(channels)
        return Tensor(name=network.source, form=network.input, storage=storage, slots=slots, flat=len(shape) == 1)

    def _check(self, layer: Layer) -> None:
        """Raise InputError for another requantizer than the engine's, where the layer needs one."""
        if isinstance(layer, Concat):
            shifts = [shift for index, shift in enumerate(layer.shifts) if _moves(layer)(index)]
            exact = not any(shift > 0 for shift in shifts)
        elif isinstance(layer, Requantized):
            shifts = layer.shifts.tolist()
            exact = layer.requant is Scheme.SHIFT and not any(shifts) and not layer.leak
        else:
            return
        engine = self.params
        if shifts and layer.requant is not engine.scheme:
            message = f"{layer.name}: requantizes by {layer.requant.value}, the engine by {engine.scheme.value}"
            raise EngineError(message, {"scheme": layer.requant, "rounding": layer.rounding})
        if not exact and layer.rounding is not engine.rounding:
            message = f"{layer.name}: rounds {layer.rounding.value}, the engine {engine.rounding.value}"
            raise EngineError(message, {"rounding": layer.rounding})

    def make(self, name: str, form: Format, rows: int, columns: int, slots: Ints, *, flat: bool = False) -> Tensor:
        """Create a tensor in planes of its own.

        Parameters
        ----------
        name, form, slots, flat
            As in `Tensor`.
        rows, columns
            Size of its map.
        """
        lanes = self.params.lanes
        storage = Storage(name=name, rows=rows, columns=columns, planes=planes_of(slots, lanes), lanes=lanes)
        return Tensor(name=name, form=form, storage=storage, slots=slots, flat=flat)

    def repacked(self, layer: str, source: Tensor, slots: Ints) -> Tensor:
        """Return the tensor, or a copy of it, with its channels at `slots`."""
        if np.array_equal(source.slots, slots) and not source.storage.pixel:
            return source
        storage = source.storage
        target = self.make(f"{layer}.copy", source.form, storage.rows, storage.columns, slots, flat=source.flat)
        self.operations.append(copy(layer, source, target, self.params))
        return target

    def weighted(self, layer: Weighted, source: Tensor, residual: Tensor | None = None) -> Tensor:
        """Lower a convolution or a matrix product."""
        window, channels = self._window(layer, source), len(source.slots)
        rows, columns = window.output_size(source.storage.height, source.storage.columns)
        if is_depthwise(layer, channels):
            slots = depthwise_slots(layer, source)
            residual = None if residual is None else self.repacked(layer.name, residual, slots)
        else:
            slots = dense_slots(len(layer.bias)) if residual is None else residual.slots
        if residual is not None and residual.storage.pixel:
            raise InputError(f"{layer.name}: a residual must be in planes")
        flat = source.flat if layer.window is None else False
        target = self.make(layer.name, layer.output, rows, columns, slots, flat=flat)
        operation = weighted(layer, source, residual, target, self.params)
        self.operations += self._gathered(layer, source, operation)
        return target

    def _gathered(self, layer: Weighted, source: Tensor, operation: Operation) -> list[Operation]:
        """Return the operation of a group convolution, or a copy of its input and one that reads that.

        A group's channels that lie in many planes, as shuffled ones do, cost a step for each plane: a copy in which
        they are neighbours may cost less.
        """
        dense = dense_slots(len(source.slots))
        if layer.groups == 1 or operation.depthwise or source.storage.pixel or np.array_equal(source.slots, dense):
            return [operation]
        storage = source.storage
        packed = self.make(f"{layer.name}.copy", source.form, storage.rows, storage.columns, dense)
        first = copy(layer.name, source, packed, self.params)
        second = weighted(layer, packed, operation.residual, operation.target, self.params)
        rows, columns = operation.target.storage.rows, operation.target.storage.columns
        saved = (operation.kept - second.kept) * rows * columns
        return [first, second] if saved > first.kept * storage.rows * storage.columns else [operation]

    def _window(self, layer: Weighted, source: Tensor) -> Window:
        """Return the window of a layer, whose input has the right number of channels."""
        window, channels = window_of(layer, source), len(source.slots)
        expected = len(layer.weights) * layer.groups // window.taps
        if expected != channels or (layer.window is not None and source.flat):
            raise InputError(f"{layer.name}: expected {expected} input channels, not {channels}")
        return window

    def spread(self, moved: DepthToSpace, source: Tensor, layer: Weighted | None = None) -> Tensor:
        """Lower what makes pixels of channels: those of a convolution's results, or of a map, copied.

        Of a result of the network the host can make pixels: of a map always, of a convolution's results where that
        takes no more steps, as it does for few channels.
        """
        rows, columns, channels = source.storage.height, source.storage.columns, len(source.slots)
        if layer is None and moved.name in self._outside:
            return pixels_outside(moved, source)
        if layer is not None:
            (rows, columns), channels = self._window(layer, source).output_size(rows, columns), len(layer.bias)
        slots = wide_slots(layer, source, moved.order(channels).shape[1])
        target = self.make(moved.name, moved.output, rows * moved.factor[0], columns * moved.factor[1], slots)
        operation = (
            spread_copy(moved, source, target, self.params)
            if layer is None
            else spread(layer, moved, source, target, self.params)
        )
        if layer is not None and moved.name in self._outside:
            slots = depthwise_slots(layer, source) if is_depthwise(layer, len(source.slots)) else dense_slots(channels)
            narrow = self.make(moved.name, moved.output, rows, columns, slots)
            plain = replace(weighted(layer, source, None, narrow, self.params), macs=operation.macs)
            if plain.kept <= operation.kept or moved.factor[1] > MOST_ACROSS:
                self.operations.append(plain)
                return pixels_outside(moved, narrow)
        check_across(moved)
        self.operations.append(operation)
        return target

    def select(self, layer: Select, source: Tensor) -> Tensor:
        """Return channels where they are."""
        part = view(layer, source)
        if part.storage is not source.storage:
            self._views.add(part.storage)
        return part

    def average(self, layer: AveragePool, source: Tensor) -> Tensor:
        """Lower a mean."""
        target = self._pooled(layer, layer.window, source)
        self.operations.append(average(layer, source, target, self.params))
        return target

    def maximum(self, layer: MaxPool, source: Tensor) -> Tensor:
        """Lower a maximum."""
        target = self._pooled(layer, layer.window, source)
        self.operations.append(maximum(layer, source, target, self.params))
        return target

    def _pooled(self, layer: Layer, window: Window, source: Tensor) -> Tensor:
        rows, columns = window.output_size(source.storage.rows, source.storage.columns)
        return self.make(layer.name, layer.output, rows, columns, source.slots)

    def upsample(self, layer: Upsample, source: Tensor) -> Tensor:
        """Lower an upsampling: copies that double both directions, as many as the factor asks for."""
        if layer.factor & (layer.factor - 1):
            raise InputError(f"{layer.name}: the engine upsamples by powers of two, not by {layer.factor}")
        left, target = layer.factor, source
        while left > 1:
            left //= 2
            name = layer.name if left == 1 else f"{layer.name}.{layer.factor // left}"
            storage = target.storage
            made = self.make(name, layer.output, 2 * storage.rows, 2 * storage.columns, source.slots)
            self.operations.append(copy(layer.name, target, made, self.params, upsample=True))
            target = made
        return replace(target, name=layer.name)

    def flatten(self, layer: Flatten, source: Tensor) -> Tensor:
        """Return the same map, seen as features."""
        return replace(source, name=layer.name, flat=True)

    def add(self, layer: Add, x: Tensor, y: Tensor) -> Tensor:
        """Lower a sum, whose operands must lie in the same way: one is copied where they do not."""
        if (x.storage.rows, x.storage.columns, len(x.slots)) != (y.storage.rows, y.storage.columns, len(y.slots)):
            raise InputError(f"{layer.name}: the engine adds tensors of one shape, not {x.shape} and {y.shape}")
        slots = x.slots if np.array_equal(x.slots, y.slots) else dense_slots(len(x.slots))
        x, y = (self.repacked(layer.name, operand, slots) for operand in (x, y))
        target = self.make(layer.name, layer.output, x.storage.rows, x.storage.columns, slots, flat=x.flat)
        self.operations.append(add(layer, x, y, target, self.params))
        return target

    def concat(self, layer: Concat, *sources: Tensor) -> Tensor:
        """Lay planes one behind the other: each source's own where they can be made there, else a copy."""
        first, lanes = sources[0].storage, self.params.lanes
        if any((part.storage.rows, part.storage.columns) != (first.rows, first.columns) for part in sources):
            raise InputError(f"{layer.name}: expected maps of one size")
        if any(part.flat for part in sources) and (first.rows, first.columns) != (1, 1):
            raise InputError(f"{layer.name}: the engine cannot concatenate flattened maps")
        parts: list[Ints] = []
        children: dict[Storage, int] = {}  # and their first planes
        planes, shared = 0, self._shared(layer, sources)
        for index, source in enumerate(sources):
            storage, slots = shared.get(index, (None, source.slots))
            if storage is None:
                part = self._part(layer, index, source, children)
                storage, slots = part.storage, part.slots
            if storage not in children:
                children[storage] = planes
                planes += storage.planes
            parts.append(slots + children[storage] * lanes)
        slots = np.concatenate(parts)
        whole = Storage(name=layer.name, rows=first.rows, columns=first.columns, planes=planes, lanes=lanes)
        self._joined.add(whole)
        for child, plane in children.items():
            child.parent = (whole, plane)
        return Tensor(name=layer.name, form=layer.output, storage=whole, slots=slots, flat=sources[0].flat)

    def _shared(self, layer: Concat, sources: Sequence[Tensor]) -> dict[int, tuple[Storage, Ints]]:
        """Return the sources that are parts of one map and together all of it, by number, with the map and their slots.

        As the halves of a split map are: the map itself can be a part of the greater storage then.
        """
        maps: dict[Storage, dict[int, Ints]] = {}
        for index, source in enumerate(sources):
            storage, slots = source.storage, source.slots
            while storage in self._views and storage.parent is not None:
                storage, plane = storage.parent
                slots = slots + plane * storage.lanes
            maps.setdefault(storage, {})[index] = slots
        shared: dict[int, tuple[Storage, Ints]] = {}
        for storage, parts in maps.items():
            taken = np.concatenate(list(parts.values()))
            whole = set(taken // storage.lanes) == set(range(storage.planes)) and len(set(taken)) == len(taken)
            if whole and self._is_made(storage) and storage.parent is None and not any(map(_moves(layer), parts)):
                shared |= {index: (storage, slots) for index, slots in parts.items()}
        return shared

    def _is_made(self, storage: Storage) -> bool:
        """Whether a storage holds results, and can lie anywhere."""
        return storage in self._joined or any(operation.target.storage is storage for operation in self.operations)

    def _part(self, layer: Concat, index: int, source: Tensor, taken: Collection[Storage]) -> Tensor:
        """Return a source that may become a part of a greater storage: itself, or a copy in the output's format."""
        storage = source.storage
        if self._is_made(storage) and storage.parent is None and storage not in taken and not _moves(layer)(index):
            return source
        slots, shift = dense_slots(len(source.slots)), 0
        if _moves(layer)(index):
            if layer.requant is not Scheme.SHIFT:
                raise InputError(f"{layer.name}: rescaling a part needs an engine that shifts: {SHIFTS}")
            shift = layer.shifts[index]
            if shift > 0 and layer.output.zero and layer.rounding not in (Rounding.FLOOR, Rounding.HALF_UP):
                raise InputError(f"{layer.name}: a zero point behind a shift that rounds {layer.rounding.value}")
        target = self.make(f"{layer.name}.{index}", layer.output, storage.rows, storage.columns, slots)
        self.operations.append(copy(layer.name, source, target, self.params, shift=shift))
        return target


def _moves(layer: Concat) -> Callable[[int], bool]:
    """Whether a source's integers change on their way into the output."""

    def moves(index: int) -> bool:
        form, output = layer.inputs[index], layer.output
        same = (form.fraction, form.mantissa, form.zero) == (output.fraction, output.mantissa, output.zero)
        within = output.limits[0] <= form.limits[0] and form.limits[1] <= output.limits[1]
        raw = {end.width == 8 and not end.signed for end in (form, output)}
        return not (same and within and len(raw) == 1)

    return moves


def _only_products(network: Network, channels: int) -> bool:
    """Whether the input goes into products over all of its channels only."""
    names = {network.source}
    for layer in network.layers:
        if isinstance(layer, Flatten) and layer.sources[0] in names:
            names.add(layer.name)
            continue
        read = [index for index, name in enumerate(layer.sources) if name in names]
        if read and not (read == [0] and isinstance(layer, Weighted) and not is_depthwise(layer, channels)):
            return False
    return not names & set(network.output_names)


def _interleave(network: Network, channels: int, lanes: int) -> int:
    """How many rows of the input lie side by side in the lanes: what needs fewest steps, counting all readers."""
    readers = [layer for layer in network.layers if network.source in layer.sources]
    windows = [layer.window for layer in readers if isinstance(layer, Weighted) and layer.window is not None]
    if len(windows) < len(readers):
        return 1

    def cost(interleave: int) -> float:
        return sum(row_steps(window, interleave, channels, lanes) for window in windows)

    return min(INTERLEAVE, key=cost)


RULES: dict[type, Callable[..., Any]] = {
    Weighted: Lowering.weighted,
    AveragePool: Lowering.average,
    MaxPool: Lowering.maximum,
    Upsample: Lowering.upsample,
    Flatten: Lowering.flatten,
    Add: Lowering.add,
    Concat: Lowering.concat,
    DepthToSpace: Lowering.spread,
    Select: Lowering.select,
}

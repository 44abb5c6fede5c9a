"""What lowering makes: tensors, each with a layout in memory, and operations on them."""

from collections.abc import Collection
from copy import copy as copied
from dataclasses import replace

import numpy as np

from roundel.compiler.lowering.copies import copy
from roundel.compiler.operation import Operation
from roundel.compiler.tensor import Storage, Tensor, dense_slots, planes_of
from roundel.golden.engine import EngineParams
from roundel.golden.formats import Format
from roundel.golden.rounding import Ints


class Lowering:
    """The tensors and operations of a network, as far as its layers are lowered.

    Parameters
    ----------
    params
        The engine's.
    outside
        Layers that make pixels for the host alone.

    Attributes
    ----------
    tensors
        The input and every layer's result by name.
    operations
        In the order of the layers.
    joined
        Maps that are concatenations.
    views
        Maps that are parts of others because a layer selects channels.
    """

    def __init__(self, params: EngineParams, outside: Collection[str]):
        self.params, self.outside = params, outside
        self.tensors: dict[str, Tensor] = {}
        self.operations: list[Operation] = []
        self.joined, self.views = set[Storage](), set[Storage]()

    def with_operations(self, operations: list[Operation]) -> "Lowering":
        """Return it with other operations, and without the tensors whose maps none of these makes."""
        other = copied(self)
        other.operations = operations
        roots = {tensor.storage.root[0] for item in operations for tensor in (*item.operands, item.target)}
        other.tensors = {name: tensor for name, tensor in self.tensors.items() if tensor.storage.root[0] in roots}
        return other

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

    def unsigned(self, layer: str, source: Tensor) -> Tensor:
        """Return a copy of a tensor of signed or narrow integers in unsigned bytes for the same numbers."""
        form = replace(source.form, width=8, signed=False, zero=source.form.zero - source.form.limits[0])
        storage = source.storage
        target = self.make(f"{layer}.copy", form, storage.rows, storage.columns, source.slots, flat=source.flat)
        self.operations.append(copy(layer, source, target, self.params))
        return target

    def is_made(self, storage: Storage) -> bool:
        """Whether a storage holds results, and can lie anywhere."""
        return storage in self.joined or any(
            storage in (target, target.parent and target.parent[0])
            for target in (operation.target.storage for operation in self.operations)
        )

"""Float networks of random operators in random order: whatever the import may give."""

from typing import Any

import numpy as np

from roundel.golden.network import Window
from roundel.graph import (
    Add,
    AveragePool,
    Clip,
    Concat,
    Conv,
    Crop,
    DepthToSpace,
    Flatten,
    Graph,
    Interpolate,
    LeakyRelu,
    MaxPool,
    Node,
    Pad,
    Relu,
    Select,
    Upsample,
)
from tests.support.made_graphs import HALVES, PADDED, affine, conv, dense, network, node

RECENT = 4  # an operator reads one of so many tensors made last


class _Maker:
    """Nodes so far, and the tensors that they made by number of axes."""

    def __init__(self, rng: np.random.Generator, shape: tuple[int, ...], *, moves: bool) -> None:
        self.rng, self.nodes, self.moves = rng, list[Node](), moves
        self.shapes: dict[str, tuple[int, ...]] = {"x": shape}

    def tensor(self, axes: int) -> str | None:
        """A recent tensor of so many axes."""
        known = [name for name, shape in self.shapes.items() if len(shape) == axes][-RECENT:]
        return str(self.rng.choice(known)) if known else None

    def like(self, x: str, axes: slice) -> str:
        """Any tensor that agrees with `x` in some axes."""
        shape = self.shapes[x]
        same = [name for name, one in self.shapes.items() if len(one) == len(shape) and one[axes] == shape[axes]]
        return str(self.rng.choice(same))

    def step(self) -> None:
        """Add one operator, and sometimes a batch normalization behind it."""
        rng, y = self.rng, f"t{len(self.nodes)}"
        x = self.tensor(axes=1 if rng.random() < 0.3 else 3) or self.tensor(axes=3)
        assert x is not None
        special = self._map if len(self.shapes[x]) == 3 else self._features
        item = self._any(x, y) if rng.random() < 0.5 else special(x, y)
        self._append(item)
        if isinstance(item, Conv) and rng.random() < 0.4:
            self._append(affine(rng, y, f"{y}_norm", len(item.bias)))
            del self.shapes[y]  # a normalization is folded into what nobody else reads

    def _append(self, item: Node) -> None:
        blanks = (np.zeros((1, *self.shapes[name]), np.float32) for name in item.inputs)
        self.shapes[item.output] = item.compute(*blanks).shape[1:]
        self.nodes.append(item)

    def _any(self, x: str, y: str) -> Node:
        match self.rng.integers(3):
            case 0:
                return node(Relu, x, y)
            case 1:
                return node(Add, (x, self.like(x, slice(None))), y)
        return node(Concat, (x, *(self.like(x, slice(1, None)) for _ in range(self.rng.integers(3)))), y)

    def _map(self, x: str, y: str) -> Node:
        rng, (channels, rows, _) = self.rng, self.shapes[x]
        if self.moves and rng.random() < 0.3:
            return self._move(x, y)
        pools: list[tuple[type[Node], dict[str, Any]]] = [
            (Clip, {"low": -float(rng.uniform(0.2, 1)), "high": float(rng.uniform(0.5, 2))}),
            (LeakyRelu, {"slope": 2.0 ** -int(rng.integers(1, 5))}),
            (MaxPool, {"window": HALVES}),
            (AveragePool, {"window": PADDED, "count_padding": bool(rng.integers(2))}),
            (AveragePool, {"window": None}),
            (Upsample, {}),
            (Interpolate, {"factor": (2, 1 + rows % 2), "offset": (-1, -(rows % 2))}),
            (Flatten, {}),
        ]
        which = int(rng.integers(len(pools) + 4))
        if which < len(pools) and not (pools[which][0] is MaxPool and rows < 2) and rows < 32:
            return node(pools[which][0], x, y, **pools[which][1])
        if which % 2:
            return conv(rng, x, y, channels, channels, groups=channels)
        window = Window(kernel=(3, 3), stride=(1 + which % 3 // 2,) * 2, pad=(1, 1, 1, 1))
        return conv(rng, x, y, channels, int(rng.integers(1, 6)), window)

    def _move(self, x: str, y: str) -> Node:
        rng, (channels, rows, columns) = self.rng, self.shapes[x]
        match rng.integers(4):
            case 0:
                chosen = rng.permutation(channels)[: rng.integers(1, channels + 1)]
                return node(Select, x, y, channels=tuple(int(channel) for channel in chosen))
            case 1:
                factor = (2, 2) if channels % 4 == 0 and rows < 16 else (1, 1 + (channels % 2 == 0))
                return node(DepthToSpace, x, y, factor=factor, by_channel=bool(rng.integers(2)))
            case 2:
                step = int(rng.integers(1, 3))
                first = tuple(int(rng.integers(0, min(step, size - 1) + 1)) for size in (rows, columns))
                size = ((rows - 1 - first[0]) // step + 1, (columns - 1 - first[1]) // step + 1)
                return node(Crop, x, y, first=first, step=(step, step), size=size)
        return node(Pad, x, y, pad=tuple(int(size) for size in rng.integers(0, 3, 4)))

    def _features(self, x: str, y: str) -> Node:
        return dense(self.rng, x, y, self.shapes[x][0], int(self.rng.integers(2, 8)))


def random_graph(seed: int, *, moves: bool = False) -> Graph:
    """A network of 3 to 14 operators, normalizations not counted, of one or two results; `moves` among them or not."""
    rng = np.random.default_rng(seed)
    make = _Maker(rng, (int(rng.integers(1, 5)), 8, 8), moves=moves)
    for _ in range(rng.integers(3, 15)):
        make.step()
    made = [name for name in make.shapes if name != "x"]
    results = dict.fromkeys([made[-1], str(rng.choice(made))])
    return network(make.shapes["x"], *make.nodes, results=tuple(results))

"""The power-of-two advisor: what it costs, tensor by tensor, to move a quantized network's scales to powers of two.

For every scale that the network gives: the nearest shift, what can be folded where (`roundel.scales.refitting`), the
error on calibration images, alone and all together, and the requantizers' area that it saves.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import log2
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.frontend import Model, read_graph
from roundel.golden.errors import InputError
from roundel.golden.parameters import choice
from roundel.golden.requant import Scheme
from roundel.graph import AT_ONCE, Conv, Dense, Graph, ImageSource, Node, Quantize, Reals, codes_of, fold, load_images
from roundel.quantization import MAX_WIDTH, Quantized, QuantizeOptions, quantize
from roundel.scales.area import LayerArea, layer_areas, requantized
from roundel.scales.measure import clip_of, finite_db, fold_words, joined, network_db, unrounded
from roundel.scales.moves import SAME, Move, plain, width_of
from roundel.scales.refitting import Refit, refit
from roundel.scales.report import advice_lines, advice_page, tables
from roundel.ui import Grid, Progress, Result, check_names, shortened, silent, write_json

Values = dict[str, Reals]


@dataclass(frozen=True, kw_only=True)
class ScaleAdvice:
    """One tensor whose scale the network gives.

    Attributes
    ----------
    tensor
        The operator that has the weights, or that quantizes the activation.
    role
        `weights` or `activation`.
    scale, scale_most
        The scale; the least and the greatest where channels have their own.
    zero_point
        Zero point of an activation; 0 for weights.
    shift, shift_most
        The nearest power of two, `2**-shift`, by ratio; of channels the least and the greatest.
    ratio, ratio_most
        `scale / 2**-shift`, within 0.707 and 1.415; of channels the least and the greatest.
    fold
        Where the ratio and the zero point go.
    before_db, after_db
        SQNR of the tensor, within the range that its integers hold, as the network has it and moved; None without
        error. Weights of the file count as exact.
    results_db
        SQNR of the network's results, all of them together, with this tensor alone moved; None without error.
    """

    tensor: str
    role: str
    scale: float
    scale_most: float
    zero_point: int
    shift: int
    shift_most: int
    ratio: float
    ratio_most: float
    fold: str
    before_db: float | None
    after_db: float | None
    results_db: float | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Advised(Result):
    """The whole advice.

    Attributes
    ----------
    model
        Name of the network's file.
    rows
        In dataflow order.
    scheme
        The requantizer that keeps the scales.
    file_db
        SQNR of the results as the file computes them: against the same network without rounding of activations.
    kept_db, moved_db
        The same of the two integer networks; None also for one that was not asked for.
    kept, moved
        The integer networks: scales kept, scales moved; None for one that was not asked for, and for scales moved where
        a quantizer rounds to one side.
    refit
        The float network that `moved` came from.
    areas
        Areas of each layer's requantizer, by `roundel.scales.area.layer_areas`; empty if nobody measured.
    notes
        What the import chose where the file says nothing, a line each.
    """

    model: str
    rows: tuple[ScaleAdvice, ...]
    scheme: Scheme
    file_db: float | None
    kept_db: float | None
    moved_db: float | None
    kept: Quantized | None
    moved: Quantized | None
    refit: Refit
    areas: tuple[LayerArea, ...] = ()
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Give everything; SQNR in dB, None where there is no error or no such network."""
        return {
            "requant": self.scheme.value,
            "results_db": {"file": self.file_db, "kept": self.kept_db, "moved": self.moved_db},
            "tensors": [vars(row) for row in self.rows],
            "requantizers": [vars(area) | {"saved_um2": area.saved_um2} for area in self.areas],
            "notes": list(self.notes),
        }

    def tables(self) -> Iterable[Grid]:
        """Give the advice on every tensor, and the areas of the requantizers."""
        return (Grid(self.model, columns, shortened(cells)) for columns, cells in tables(self.as_dict()))

    def lines(self) -> Iterable[str]:
        """Sum the advice up."""
        return advice_lines(self.as_dict())

    def write(self, folder: Path) -> None:
        """Write `advice.json` and `advice.md`."""
        write_json(folder / "advice.json", self.as_dict())
        (folder / "advice.md").write_text("\n".join(advice_page(self.as_dict(), self.model)) + "\n", encoding="utf-8")


def advise(
    model: Model | Graph,
    calibration: ImageSource,
    *,
    input_shape: Sequence[int] | None = None,
    outputs: Sequence[str] | None = None,
    scheme: Scheme | str = Scheme.FIXED16,
    options: QuantizeOptions | None = None,
    networks: Collection[str] = ("kept", "moved"),
    area: bool = False,
    progress: Progress = silent,
) -> Advised:
    """Tell what it costs to move a quantized network's scales to powers of two, and what that saves.

    Parameters
    ----------
    model
        The quantized network (QDQ or QONNX): an ONNX file, its bytes, an `onnx.ModelProto`, or what `read_onnx` gave.
    calibration
        Images to measure errors on: an `.npz` file or arrays. Tensors alone are compared on the first 32.
    input_shape, outputs
        Sizes of the network's input, and names of the tensors that it ends in, as in `compress`.
    scheme
        The requantizer that would keep the scales.
    options
        How to quantize what the network leaves open.
    networks
        Which integer networks to make.
    area
        Measure the requantizers of the network that keeps its scales: a minute or two the first time.
    progress
        Told of every tensor whose scale the network gives.

    Returns
    -------
    Advised
        Errors on the images, tensor by tensor and of the networks made, and areas of the requantizers.

    Raises
    ------
    InputError
        The network gives no scale, or has no integer form.
    """
    check_names("networks", networks)
    try:
        scheme = choice(Scheme, "scheme", scheme)
    except ValueError as error:
        raise InputError(str(error)) from None
    graph = read_graph(model, input_shape=input_shape, outputs=outputs, images=calibration)
    images = load_images(calibration, graph).images
    options = options or QuantizeOptions()
    folded = fold(graph)
    if not given_nodes(folded):
        raise InputError(f"{graph.file}: expected a quantized network (QDQ or QONNX), but it gives no scale")
    fitted = refit(graph, images[:AT_ONCE])
    kept = quantize(graph, images, replace(options, requant=scheme)) if "kept" in networks else None
    movable = "moved" in networks and not fitted.one_sided
    if "moved" in networks and not movable and "kept" not in networks:
        where = f"{graph.file}: node {fitted.one_sided[0]}"
        raise InputError(f"{where}: expected rounding to the nearest, which --refit gives every scale that it moves, "
                         "not to one side: --requant keeps it")  # fmt: skip
    moved = quantize(fitted.graph, images, fitted.options(options)) if movable else None
    exact = unrounded(folded)
    alone = _Alone(folded, exact, fitted.moves, images[:AT_ONCE])
    rows = []
    with progress("scales", len(given_nodes(folded))) as step:
        for node in given_nodes(folded):
            rows.append(alone.row(node))
            step(node.name)
    return Advised(
        model=Path(graph.file).name,
        rows=tuple(rows),
        scheme=scheme,
        file_db=alone.file_db,
        kept_db=network_db(kept, exact, images),
        moved_db=network_db(moved, exact, images),
        kept=kept,
        moved=moved,
        refit=fitted,
        areas=_areas(kept, progress) if area else (),
        notes=() if isinstance(model, Graph) else graph.notes,
    )


def _areas(kept: Quantized | None, progress: Progress) -> tuple[LayerArea, ...]:
    """Areas of the requantizers of a network that keeps its scales."""
    if kept is None:
        return ()
    with progress("requantizers", len(requantized(kept.network))) as step:
        return layer_areas(kept.network, step)


def given_nodes(graph: Graph) -> list[Conv | Dense | Quantize]:
    """Return the nodes of a folded graph whose scale the network gives."""
    return [
        node
        for node in graph.nodes
        if isinstance(node, Quantize) or (isinstance(node, Conv | Dense) and node.step is not None)
    ]


class _Alone:
    """A quantized network in float, in which one tensor at a time is moved.

    Parameters
    ----------
    graph, exact
        The folded network as it is, and without rounding of activations.
    moves
        The units that `refit` found.
    images
        To run on.
    """

    def __init__(self, graph: Graph, exact: Graph, moves: Mapping[str, Move], images: NDArray[Any]) -> None:
        self.graph, self.moves = graph, moves
        self.values = graph.values(images)
        self.exact = exact.outputs(images)

    @property
    def file_db(self) -> float | None:
        """SQNR of the results as the file computes them."""
        return self._results_db(self.values)

    def row(self, node: Conv | Dense | Quantize) -> ScaleAdvice:
        """Return the advice on one tensor."""
        moved = self._moved_activation(node) if isinstance(node, Quantize) else self._moved_weights(node)
        if isinstance(node, Quantize):
            before = self.values[node.inputs[0]]
            signal = clip_of(node).compute(before)
            before_db, after_db = (finite_db(signal, other.compute(before)) for other in (node, moved))
            scales, zero, role = np.asarray([node.scale]), node.zero_point, "activation"
        else:
            assert isinstance(moved, Conv | Dense)
            before_db, after_db = None, finite_db(node.weights, moved.weights)
            scales, zero, role = np.unique(np.asarray(node.step, np.float64)), 0, "weights"
        shifts = -np.rint(np.log2(scales)).astype(int)
        ratios = np.ldexp(scales, shifts)
        return ScaleAdvice(
            tensor=node.name,
            role=role,
            scale=float(scales.min()),
            scale_most=float(scales.max()),
            zero_point=zero,
            shift=int(shifts.min()),
            shift_most=int(shifts.max()),
            ratio=float(ratios.min()),
            ratio_most=float(ratios.max()),
            fold=fold_words(self.graph, node, self.moves[node.output]),
            before_db=before_db,
            after_db=after_db,
            results_db=self._results_db(self._rerun(node, moved)),
        )

    def _moved_weights(self, node: Conv | Dense) -> Conv | Dense:
        """Weights rounded to powers of two of the units around them; of the two next to a step the better one."""
        unit = self.moves[node.inputs[0]].ratio / self.moves[node.output].ratio
        column = (-1,) + (1,) * (node.weights.ndim - 1) if isinstance(node, Conv) else (1, -1)
        others = tuple(range(1, node.weights.ndim)) if isinstance(node, Conv) else (0,)
        half = 2 ** (min(node.code_width or MAX_WIDTH, MAX_WIDTH) - 1)
        steps = np.broadcast_to(np.asarray(node.step, np.float64), node.bias.shape)
        real = codes_of(node) * steps.reshape(column)
        best, least = real, np.full(len(steps), np.inf)
        for more in (-1, 0, 1, 2):  # codes of more than 8 bits need a coarser step
            step = (unit * 2.0 ** (np.floor(np.log2(steps / unit) + SAME) + more)).reshape(column)
            rounded = np.clip(np.rint(real / step), -half, half - 1) * step
            errors = np.square(rounded - real).sum(axis=others)
            if np.asarray(node.step).size == 1:
                errors = np.full_like(errors, errors.sum())
            best = np.where((errors < least).reshape(column), rounded, best)
            least = np.minimum(errors, least)
        return replace(node, weights=best.astype(np.float32))

    def _moved_activation(self, node: Quantize) -> Quantize:
        """Without a zero point, at a power of two of the unit that `refit` gives it; of the scales around the best."""
        move, values = self.moves[node.output], self.values[node.inputs[0]]
        scale = node.scale * move.ratio
        exact = abs(scale / 2.0 ** round(log2(scale)) - 1) < SAME
        if exact and (node.zero_point in (0, node.low) or move.offset) and width_of(node) <= MAX_WIDTH:
            return node  # the integers stay what they are
        tries = [plain(node, 2.0 ** (round(log2(scale)) + more) / move.ratio) for more in (-1, 0, 1, 2)]
        return min(tries, key=lambda other: float(np.square(other.compute(values) - values).sum()))

    def _rerun(self, node: Node, other: Node) -> Values:
        """All tensors with one node replaced; only what comes after it is computed again."""
        changed: Values = {}
        for item in self.graph.nodes:
            if item is node or any(name in changed for name in item.inputs):
                inputs = (changed.get(name, self.values[name]) for name in item.inputs)
                changed[item.output] = (other if item is node else item).compute(*inputs)
        return self.values | changed

    def _results_db(self, values: Values) -> float | None:
        names = self.graph.results
        return finite_db(joined(self.exact, names), joined(values, names))

"""The power-of-two advisor: what it costs, tensor by tensor, to move a quantized network's scales to powers of two.

For every scale that the network gives: the nearest shift, what can be folded where (`roundel.scales.refitting`), the
error on calibration images, alone and all together, and the requantizers' area that it saves.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from roundel.frontend import Model, read_graph
from roundel.golden.errors import InputError
from roundel.golden.parameters import choice
from roundel.golden.requant import Scheme
from roundel.graph import AT_ONCE, Conv, Dense, Graph, ImageSource, Quantize, fold, load_images
from roundel.quantization import Quantized, QuantizeOptions, quantize
from roundel.scales.area import LayerArea, layer_areas, requantized
from roundel.scales.measure import network_db, unrounded
from roundel.scales.refitting import Refit, refit
from roundel.scales.report import advice_lines, advice_page, tables
from roundel.scales.tensor_advice import ScaleAdvice, TensorAdvisor
from roundel.ui import Grid, Progress, Result, check_names, shortened, silent, write_json


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
    alone = TensorAdvisor(folded, exact, fitted.moves, images[:AT_ONCE])
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

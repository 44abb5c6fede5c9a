"""The detector that the demo runs: its files, what compression made of it, and the float network that it was."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from roundel.compiler import heads_of
from roundel.compression import CompressedNetwork, compress, with_split_head
from roundel.data import DETECTOR, HEADS
from roundel.detection import Detector
from roundel.detection import load as load_detector
from roundel.evaluation import library_paths
from roundel.frontend import Host, read_original
from roundel.golden.errors import InputError
from roundel.golden.head import Boxes, HeadParams
from roundel.golden.network import Network
from roundel.golden.rounding import Ints
from roundel.graph import Graph, read_images
from roundel.runtime import EngineSource, engine_choice
from roundel.synth.cells import REFERENCE
from roundel.ui import Progress

LEAST_SCENES = 8
WITHOUT_HEAD = "its tail is none of a detector; --head says how boxes come out of its outputs"
PARTLY = "the demo runs whole networks; roundel inspect tells what blocks, and roundel run takes networks with parts"


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """The files and choices that the demo works on.

    Parameters
    ----------
    model
        The trained detector (ONNX), as it was exported, with its tail.
    head
        How boxes come out of its outputs (`roundel.detection.detector`); None: its tail tells.
    calibration, held_out
        Images for choosing fractional bits, and scenes with objects that training never saw.
    scenes
        How many of these run on the RTL; average precision is measured on all.
    sparsity, bits
        What OPQ prunes, and the mean bits of its codes; None of both leaves OPQ out.
    engine
        The engine, as `roundel.run` takes it; its NMS becomes the detector's, unless a file or settings state another.
    cells
        Liberty file for energies and the comparison of requantizers; None leaves both out.
    """

    model: Path = HEADS / "ssd.onnx"
    head: Path | None = None
    calibration: Path = DETECTOR / "calibration.npz"
    held_out: Path = DETECTOR / "heldout.npz"
    scenes: int = LEAST_SCENES
    sparsity: float | None = None
    bits: float | None = None
    engine: EngineSource = "small"
    cells: Path | None = REFERENCE


def cells_named(name: str) -> Path | None:
    """Return the library of energies that `reference` or a Liberty file's path names; None for `none`.

    Raises
    ------
    InputError
        What `roundel.evaluation.library_paths` refuses.
    """
    return None if name == "none" else library_paths([name])[0]


@dataclass(frozen=True, kw_only=True, eq=False)
class Trained:
    """A compressed detector, and the float network that it was.

    Attributes
    ----------
    compressed
        The integer network, its streams and its report.
    detector
        How boxes come out of its results, and the suppression unit that they go through.
    graph
        The float network up to the outputs that the detector names.
    calibration
        The calibration images.
    """

    compressed: CompressedNetwork
    detector: Detector
    graph: Graph = field(repr=False)
    calibration: NDArray[Any] = field(repr=False)

    @cached_property
    def heads(self) -> tuple[HeadParams, ...]:
        """The scales' integer parameters."""
        return tuple(head.params for head in heads_of(self.detector, self.compressed.network, self.compressed.results))

    def boxes(self, network: Network, tensors: Mapping[str, Ints]) -> list[Boxes]:
        """Return golden's boxes before the NMS of each image, from the tensors of all layers."""
        names = self.compressed.results
        return self.detector.integer(self.heads, {name: tensors[names[name]] for name in self.detector.outputs})


def read_trained(options: DemoOptions, progress: Progress) -> Trained:
    """Compress the detector, its head recognised or given, and read the float network that it was.

    Raises
    ------
    InputError
        What `compress` refuses; a head that is not recognised; or a network of which a host would compute a part.
    """
    params = engine_choice(options.engine).params
    given = None if options.head is None else load_detector(options.head)
    compressed = compress(
        options.model,
        options.calibration,
        sparsity=options.sparsity or None,
        bits=options.bits,
        per_channel=True,
        codec=params.packing,
        lanes=params.lanes,
        columns=params.columns,
        host=Host.TAIL if given is None else Host.REFUSE,
        head=given is None,
        progress=progress,
    )
    detector = given or compressed.head
    if detector is None:
        why = "; ".join(compressed.report.get("head", {}).get("notes", ()))
        raise InputError(f"{options.model}: {why or WITHOUT_HEAD}")
    if compressed.chain is not None:
        raise InputError(f"{options.model}: {compressed.chain.share:.1%} of its MACs on the engine: {PARTLY}")
    model, shape, results = str(options.model), compressed.shape, compressed.results
    with progress("float network", 1):
        original = with_split_head(model, shape, results) if given is None else model
        graph = read_original(original, shape, results)
    calibration = read_images(options.calibration, shape).images
    return Trained(compressed=compressed, detector=detector, graph=graph, calibration=calibration)

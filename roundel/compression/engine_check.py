"""Whether an engine runs the network: told before the search, by integers that are only a sketch, and after it."""

from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from roundel.compiler import Compiled, compile_network
from roundel.golden.engine import EngineParams
from roundel.golden.errors import InputError
from roundel.golden.network import Network
from roundel.graph import Graph, channels_last
from roundel.quantization import QuantizeOptions, quantize

POSITIONS = 16  # at which the sketch compares candidates
SUMS = (" a bias of ", " sums need ")  # refusals that depend on the formats that the search chooses


class FittedEngine(Protocol):
    """An engine of which what nobody stated follows the network, as `roundel.runtime.engine_choice` gives."""

    @property
    def name(self) -> str:
        """What the user called it."""

    @property
    def params(self) -> EngineParams:
        """Its parameters, before they follow a network."""

    def fitted(self, network: Network) -> EngineParams:
        """Return its parameters for a network."""


def check_sketch(graph: Graph, images: NDArray[np.float32], search: QuantizeOptions, engine: FittedEngine) -> None:
    """Raise InputError for what the compiler would refuse, whatever the search chooses.

    The network is quantized without a search, on one image: maps, kernels, streams, scheme and rounding are those that
    it will have. A bias or sums that are too wide are left to `checked`, as they depend on the formats.

    Parameters
    ----------
    graph
        The network in normal form.
    images
        Calibration images.
    search
        How it is to be quantized.
    engine
        The engine.

    Raises
    ------
    InputError
        One line that names engine and layer, and the parameters of an engine that runs the network.
    """
    try:
        network = quantize(graph, images[:1], replace(search, window=0, positions=POSITIONS)).network
    except InputError:  # which the search will tell
        return
    try:
        checked(network, graph.shape, engine)
    except InputError as error:
        if not any(what in str(error) for what in SUMS):
            raise


def checked(network: Network, shape: tuple[int, ...], engine: FittedEngine) -> Compiled:
    """Return the network compiled for an engine.

    Parameters
    ----------
    network
        The integer network.
    shape
        Of an image: (channels, rows, columns) or (features,).
    engine
        The engine.

    Raises
    ------
    InputError
        As `check_sketch`.
    """
    try:
        return compile_network(network, channels_last(shape), engine.fitted(network))
    except InputError as error:
        raise InputError(f"{engine.name}: {error}") from None

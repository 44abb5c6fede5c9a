"""The drift of a network that its file quantizes: its integer results beside those of onnxruntime.

Each layer is within a unit of onnxruntime's on the same integers; what such units become, layer upon layer, is told.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roundel.frontend import Model, onnxruntime_results
from roundel.golden.network import outputs
from roundel.graph import Graph, Quantize
from roundel.quantization import Quantized, real_values

IMAGES = 32  # of the calibration images, at most


@dataclass(frozen=True, kw_only=True)
class Drift:
    """How far results are from onnxruntime's.

    Attributes
    ----------
    images
        How many were compared.
    units, tensor
        The greatest difference, in units of the integers of that result, and its name.
    apart
        The share of all values that are more than half a unit apart.
    """

    images: int
    units: float
    tensor: str
    apart: float

    def __str__(self) -> str:
        units = "1 unit" if self.units == 1 else f"{self.units:.3g} units"
        return (
            f"Results differ from onnxruntime's by at most {units} of their integers (tensor {self.tensor}); "
            f"{self.apart:.2%} of the values on {self.images} images by more than half a unit."
        )


def drift(graph: Graph, model: Model | Graph, quantized: Quantized, images: NDArray[np.float32]) -> Drift | None:
    """Compare an integer network with onnxruntime on the file that it was made of.

    Parameters
    ----------
    graph, model
        The network as imported, and its file.
    quantized
        What it became.
    images
        As the network takes them, (images, ...).

    Returns
    -------
    Drift
        None where the file quantizes no activations, or onnxruntime cannot run it.
    """
    if not any(isinstance(node, Quantize) for node in graph.nodes):
        return None
    images = images[:IMAGES]
    theirs = onnxruntime_results(graph, model, images)
    network = quantized.network
    ours = real_values(network, graph.shape, outputs(network, network.encode(images)))
    layers = {name: quantized.results[tensor] for name, tensor in graph.names.items()}
    scales = {layer.name: layer.output.scale for layer in network.layers}
    units = {
        name: np.abs(ours[layer].astype(np.float64) - theirs[name]) / scales[layer]
        for name, layer in layers.items()
        if name in theirs and layer in ours and ours[layer].shape == theirs[name].shape
    }
    return _drift(len(images), units)


def _drift(images: int, units: Mapping[str, NDArray[np.float64]]) -> Drift | None:
    if not units:
        return None
    tensor = max(units, key=lambda name: float(units[name].max()))
    apart = np.concatenate([values.ravel() > 0.5 for values in units.values()])
    return Drift(
        images=images, units=float(f"{units[tensor].max():.4g}"), tensor=tensor, apart=float(f"{apart.mean():.4g}")
    )

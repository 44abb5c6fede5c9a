"""From a trained network to one whose training knows its integers."""

import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from roundel.frontend import Model, read_graph
from roundel.golden.errors import InputError
from roundel.golden.network import Layer, Network
from roundel.golden.opq import ChannelPattern, LayerPlan
from roundel.graph import Conv, Dense, Graph, ImageSource, filled, fold, load_images
from roundel.qat.options import QatOptions
from roundel.quantization import quantize
from roundel.ui import Progress, silent

if TYPE_CHECKING:
    from roundel.qat.network import IntegerModule

OPSET = 17
MISSING = "training needs torch, which is not installed: pip install 'roundel[train]'"
Masks = dict[str, NDArray[np.bool_]]


def prepare(
    model: "Model | Graph | Any",
    calibration: ImageSource,
    options: QatOptions | None = None,
    *,
    outputs: Sequence[str] | None = None,
    progress: Progress = silent,
) -> "IntegerModule":
    """Return a torch module to train, whose forward pass is the integer network's arithmetic.

    Parameters
    ----------
    model
        The trained network: a `torch.nn.Module`, the path of an ONNX file, its bytes, or what `read_onnx` gave. Batch
        normalization is folded.
    calibration
        Images to choose the first formats on: the path of an `.npz` file with an array `images`, or the array.
    options
        What the integers are to be like.
    outputs
        Names of the module's outputs; of a file those of the tensors that the network ends in, inner ones too. None:
        as the exporter or the file has them.
    progress
        Told of every module of the search.

    Raises
    ------
    InputError
        torch is not installed, a file or an option that does not fit, or layers that cannot be trained: all of them
        are named, before anything is trained.
    """
    options = options or QatOptions()
    try:
        from roundel.qat.building import build
    except ModuleNotFoundError as error:
        raise InputError(MISSING) from error
    stored = _as_model(model, calibration, outputs)
    graph = read_graph(stored, outputs=outputs if stored is model else None, images=calibration)
    images = load_images(calibration, graph).images
    graph = filled(fold(graph), float(np.abs(images).max()))
    masks = _masks(graph, options)
    graph = _masked(graph, masks)
    quantized = quantize(graph, images, options.search, progress)
    _check_layers(graph, quantized.network)
    return build(graph, quantized, masks, options, images)


def _as_model(model: Any, calibration: ImageSource, outputs: Sequence[str] | None) -> Model | Graph:
    """Return a torch module as the bytes of an ONNX file; anything else as it is."""
    from torch import nn, onnx, tensor  # what was asked for needs it

    if not isinstance(model, nn.Module):
        given: Model | Graph = model
        return given
    if isinstance(calibration, str | Path):
        with np.load(calibration) as arrays:
            first = arrays["images"][:1]
    else:
        first = np.asarray(calibration)[:1]
    stream = io.BytesIO()
    was_training = model.training
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its exporter announces its successor
            onnx.export(
                model.eval(), (tensor(first, dtype=next(model.parameters()).dtype),), stream, dynamo=False,
                opset_version=OPSET, output_names=outputs,
            )  # fmt: skip
    except Exception as error:  # whatever the module raises on an image
        lines = str(error).splitlines() or [type(error).__name__]
        raise InputError(f"the module cannot be exported: {lines[0]}") from None
    finally:
        model.train(was_training)
    return stream.getvalue()


def _masks(graph: Graph, options: QatOptions) -> Masks:
    """Return the weights of each layer that may differ from 0, in the shape of its weights."""
    nodes = {node.name: node for node in graph.nodes if isinstance(node, Conv | Dense)}
    for what, names in (("masks", options.masks), ("patterns", options.patterns)):
        for name in names:
            if name not in nodes:
                raise InputError(f"{graph.file}: {what}: no layer {name!r}, expected one of {', '.join(nodes)}")
    found = {}
    for name, node in nodes.items():
        mask = np.ones(node.weights.shape, dtype=bool)
        if name in options.masks:
            if options.masks[name].shape != mask.shape:
                raise InputError(
                    f"{graph.file}: masks: {name} has weights {mask.shape}, not {options.masks[name].shape}"
                )
            mask &= options.masks[name]
        pattern = options.patterns.get(name, options.pattern)
        if pattern is not None and isinstance(node, Conv) and node.groups == 1:
            kept = pattern.mask(replace(node, weights=node.weights * mask).matrix, node.window.taps)
            kernel = kept.reshape(*node.window.kernel, -1, kept.shape[1]).transpose(3, 2, 0, 1)
            mask &= kernel
        if not mask.all():
            found[name] = mask
    return found


def _masked(graph: Graph, masks: Masks) -> Graph:
    """Return the network with 0 for all other weights."""
    return replace(graph, nodes=tuple(_without(node, masks) for node in graph.nodes))


def _without(node: Any, masks: Masks) -> Any:
    mask = masks.get(node.name) if isinstance(node, Conv | Dense) else None
    return node if mask is None else replace(node, weights=(node.weights * mask).astype(np.float32))


def _check_layers(graph: Graph, network: Network) -> None:
    """Raise InputError that names all layers which cannot be trained."""
    wrong = [f"{layer.name} ({why})" for layer in network.layers for why in _obstacles(layer)]
    if wrong:
        raise InputError(f"{graph.file}: layers that cannot be trained: {', '.join(wrong)}")


def _obstacles(layer: Layer) -> Iterator[str]:
    """Give the reasons why a layer cannot be trained."""
    from roundel.qat.building import KINDS

    if type(layer) not in KINDS:
        yield f"{type(layer).__name__} is not known"
    if any(form.mantissa != 1 for form in (*layer.expects, layer.output)):
        yield "a scale is no power of two"


def layer_masks(plans: Mapping[str, LayerPlan]) -> Masks:
    """Return the masks of OPQ's plans, as `QatOptions.masks` takes them.

    Parameters
    ----------
    plans
        What `roundel.golden.opq.opq` gave, by layer.
    """
    return {name: np.asarray(plan.mask) for name, plan in plans.items()}


def mask_channels(model: Any, pattern: ChannelPattern) -> list[str]:
    """Freeze a pattern of input channels in every convolution that it suits, in place, and return their names.

    Training goes on as usual, with batch normalization where the network has it: what a quarter of the weights can do,
    they learn sooner there than in integers. `prepare` with the same pattern finds the zeros, and keeps them.

    Parameters
    ----------
    model
        The trained `torch.nn.Module`.
    pattern
        The pattern. The greatest weights decide, the norm of each output's taken out, as batch normalization does.

    Raises
    ------
    InputError
        torch is not installed.
    """
    try:
        from roundel.qat.building import freeze
    except ModuleNotFoundError as error:
        raise InputError(MISSING) from error
    return freeze(model, pattern)

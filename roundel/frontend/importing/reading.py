"""Networks as other rooms ask for them: a file or what was read already, and the origin of an integer network."""

from collections.abc import Collection, Sequence

from roundel.frontend.importing.importer import read_onnx
from roundel.frontend.model import (
    FIRST,
    LoadedModel,
    Model,
    declared_sizes,
    has_channels_last,
    load_model,
    made_tensors,
    network_input,
    prepare,
)
from roundel.golden.errors import InputError
from roundel.graph import Graph, ImageSource, channels_last


def read_graph(
    model: Model | Graph,
    *,
    input_shape: Sequence[int] | None = None,
    outputs: Sequence[str] | None = None,
    images: ImageSource | None = None,
    late: bool = False,
) -> Graph:
    """`read_onnx`, or the graph itself if it was read already.

    Raises
    ------
    InputError
        What `read_onnx` refuses, and sizes or outputs for a graph that has its own.
    """
    if not isinstance(model, Graph):
        return read_onnx(model, input_shape=input_shape, outputs=outputs, images=images, late=late)
    for option, given in (("--input-shape", input_shape), ("--outputs", outputs)):
        if given is not None:
            raise InputError(f"{model.file}: {option}: expected an ONNX file, not a graph: read_onnx takes it")
    return model


def read_original(model: Model, shape: tuple[int, ...], results: Collection[str]) -> Graph:
    """Read the float network that an integer network was made of: of the same size, and cut at the same tensors.

    Parameters
    ----------
    model
        Its file, or another, which is read as it is as far as sizes and tensors do not fit.
    shape
        Shape of an image of the integer network.
    results
        Names of its outputs.

    Raises
    ------
    InputError
        What `read_onnx` refuses.
    """
    declared = {item.name for item in load_model(model).proto.graph.output}
    late = declared <= set(results)  # no output of the file is the host's
    try:
        return read_onnx(prepare_original(model, shape, results, late=late))
    except InputError:  # of these sizes; it is another network
        return read_onnx(model)


def prepare_original(
    model: Model, shape: tuple[int, ...], results: Collection[str], *, late: bool = False
) -> LoadedModel:
    """`prepare` the network that an integer network was made of, for what `read_original` takes, and `late`.

    Raises
    ------
    InputError
        What `prepare` refuses.
    """
    proto = load_model(model).proto
    source = network_input(proto.graph)
    sizes = (declared_sizes(source) if source is not None else None) or ()
    wanted = shape
    if has_channels_last(proto):
        sizes, wanted = tuple(sizes[axis] for axis in FIRST), channels_last(shape)
    fits = len(sizes) == len(shape) + 1 and sizes[1] in (None, shape[0]) and sizes[1:] != shape
    made, declared = made_tensors(proto), [item.name for item in proto.graph.output]
    cut = list(results) != declared and all(name in made for name in results)
    return prepare(model, input_shape=wanted if fits else None, outputs=list(results) if cut else None, late=late)

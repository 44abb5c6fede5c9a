"""The size of a network's input: what the file declares, what a user asks for, and what calibration images have."""

from collections.abc import Sequence

import onnx

from roundel.frontend.model.limits import too_many
from roundel.golden.errors import InputError
from roundel.graph import ImageSource, image_shape, integer_of

Sizes = tuple[int | None, ...]

CHANNELS = 1  # axis


def network_input(graph: onnx.GraphProto) -> onnx.ValueInfoProto | None:
    """Return the one input that is no constant; None where there are several, or none."""
    constants = {item.name for item in graph.initializer}
    inputs = [item for item in graph.input if item.name not in constants]
    return inputs[0] if len(inputs) == 1 else None


def declared_sizes(item: onnx.ValueInfoProto) -> Sizes | None:
    """Return the sizes that are declared of a tensor, None for each that may be any (-1 or 0); None without a shape."""
    tensor = item.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return tuple(None if size.dim_value in (-1, 0) else size.dim_value for size in tensor.shape.dim)


def declared_text(item: onnx.ValueInfoProto) -> str:
    """Return the sizes that are declared of a tensor, or their names, for messages."""
    return ", ".join(str(dim.dim_value or dim.dim_param or "?") for dim in item.type.tensor_type.shape.dim)


def checked_shape(shape: object) -> tuple[int, ...]:
    """Return the sizes of an input that a user gave, as integers.

    Raises
    ------
    InputError
        No list of one to four whole numbers from 1 on, or too many values.
    """
    if not isinstance(shape, Sequence) or isinstance(shape, str | bytes) or not 1 <= len(shape) <= 4:
        raise InputError(f"--input-shape: expected sizes such as (1, 3, 320, 320) or (1, 784), not {shape!r}")
    sizes = tuple(integer_of("--input-shape", size, 1) for size in shape)
    if why := too_many(sizes[1:]):
        raise InputError(f"--input-shape: {why}")
    return sizes


def set_input(model: onnx.ModelProto, shape: Sequence[int], file: str, *, last: bool = False) -> None:
    """Give a model's input other sizes than the file declares, or sizes where it leaves them open.

    What the file declares of the shapes of other tensors is removed where sizes change that it had fixed.

    Parameters
    ----------
    model
        Is changed.
    shape
        (batch, channels, rows, columns) or (batch, features), with the batch or without it.
    file
        The model's name, for messages.
    last
        Whether the file has the channels last, so that they may be the last size as well as the first.

    Raises
    ------
    InputError
        No such sizes, another number of axes, or of channels or features, than the file declares.
    """
    sizes, item = checked_shape(shape), network_input(model.graph)
    if item is None:  # which the import refuses
        return
    declared = declared_sizes(item)
    axes = len(declared) if declared else len(sizes) + len(sizes) % 2
    if len(sizes) not in (axes, axes - 1):
        _refuse(item, sizes, file, f"expected {axes} sizes, with the batch, or {axes - 1}")
    declared = declared or (None,) * axes
    batch, wanted = (sizes[0], sizes[1:]) if len(sizes) == axes else (None, sizes)
    if last and declared[CHANNELS] in (None, wanted[-1]):
        wanted = turned(wanted)
    if declared[CHANNELS : CHANNELS + 1] not in ((None,), (wanted[0],)):
        _refuse(item, sizes, file, f"expected {declared[CHANNELS]} {'channels' if axes > 2 else 'features'}")
    after = (batch or declared[0], *wanted)
    if any(size not in (None, other) for size, other in zip(declared, after, strict=True)):
        forget_shapes(model.graph)
    _set_sizes(item, after)


def fill_open(model: onnx.ModelProto, images: ImageSource) -> tuple[str, ...]:
    """Take the sizes that a model's input leaves open, but for the batch, from images; return a line that says so.

    Sizes that the file fixes stay. Nothing is done, and no line returned, where no size is open or axes do not fit.

    Parameters
    ----------
    model
        Is changed.
    images
        What the network is to run on.

    Raises
    ------
    InputError
        A size is open, and the images are missing or no images.
    """
    item = network_input(model.graph)
    declared = None if item is None else declared_sizes(item)
    if item is None or declared is None or None not in declared[1:]:
        return ()
    shape = image_shape(images)
    if len(declared) != len(shape) + 1:
        return ()
    if not _fit(shape, declared[1:]) and _fit(turned(shape), declared[1:]):
        shape = turned(shape)
    after = (declared[0], *(size or other for size, other in zip(declared[1:], shape, strict=True)))
    _set_sizes(item, after)
    sizes = " x ".join(map(str, after[1:]))
    return (f"The file leaves the size of its input open: {sizes}, as the calibration images are",)


def turned(sizes: Sequence[int]) -> tuple[int, ...]:
    """Return the sizes of an image with its last axis, the channels, as the first one."""
    return (*sizes[-1:], *sizes[:-1])


def _fit(sizes: Sequence[int], declared: Sizes) -> bool:
    return all(known in (None, size) for size, known in zip(sizes, declared, strict=True))


def forget_shapes(graph: onnx.GraphProto) -> None:
    """Remove the shapes that are declared of outputs and of tensors between; types of outputs stay."""
    del graph.value_info[:]
    for item in graph.output:
        if item.type.WhichOneof("value") == "tensor_type":
            item.type.tensor_type.ClearField("shape")


def _set_sizes(item: onnx.ValueInfoProto, sizes: Sizes) -> None:
    """Declare sizes of a tensor; those that are None may be any, and keep their names."""
    dims = item.type.tensor_type.shape.dim
    while len(dims) < len(sizes):
        dims.add()
    for dim, size in zip(dims, sizes, strict=True):
        if size is not None:
            dim.dim_value = size
        elif dim.HasField("dim_value"):  # -1 or 0
            dim.ClearField("dim_value")


def _refuse(item: onnx.ValueInfoProto, sizes: Sequence[int], file: str, why: str) -> None:
    given = ", ".join(map(str, sizes))
    raise InputError(f"{file}: input {item.name}: declared ({declared_text(item)}): {why}, not ({given})")

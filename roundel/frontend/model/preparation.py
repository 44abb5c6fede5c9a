"""A model made ready for the import: read, checked, of a version that it knows, cut, channels first, of fixed sizes."""

from collections.abc import Sequence

import onnx

from roundel.frontend.model.channels_last import channels_first
from roundel.frontend.model.cutting import cut
from roundel.frontend.model.input_sizes import fill_open, set_input
from roundel.frontend.model.loading import LoadedModel, Model, load_model
from roundel.frontend.model.matrices import products_to_convolutions
from roundel.frontend.model.opsets import modernize
from roundel.frontend.model.qoperators import to_qdq
from roundel.graph import ImageSource


def prepare(
    model: Model,
    *,
    input_shape: Sequence[int] | None = None,
    outputs: Sequence[str] | None = None,
    images: ImageSource | None = None,
    late: bool = False,
) -> LoadedModel:
    """Read a model, bring it to opset 11 or newer and the QDQ form, cut it, put channels first, set its input's sizes.

    Parameters
    ----------
    model
        The path of an ONNX file, its bytes, or an `onnx.ModelProto`, which is left alone.
    input_shape
        Sizes of its input in the file's order, with the batch or without; None: those of the file.
    outputs
        Names of tensors to end in; None: the outputs of the file.
    images
        What has the sizes that the file leaves open, where `input_shape` is None.
    late
        Whether the engine computes Sigmoid, Exp and Log behind the last products.

    Raises
    ------
    InputError
        What any of these steps refuses: one line that names the file.
    """
    proto, file, notes, was_late = load_model(model)
    if proto is model:
        proto = onnx.ModelProto()
        proto.CopyFrom(model)
    modernize(proto, file)
    kinds = to_qdq(proto, file)
    if outputs is not None:
        cut(proto, outputs, file)
    if not isinstance(model, LoadedModel):  # a part of a network takes what the part before it gives
        notes += channels_first(proto)
    if input_shape is not None:
        set_input(proto, input_shape, file, last=bool(notes))
    elif images is not None:
        notes += fill_open(proto, images)
    products_to_convolutions(proto, file)
    if kinds:
        notes += (f"operators on integers ({', '.join(kinds)}) are read as QDQ",)
    return LoadedModel(proto, file, notes, late or was_late)

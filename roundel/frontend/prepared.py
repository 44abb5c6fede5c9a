"""A model made ready for the import: read, checked, and in a version of ONNX that the import knows."""

from roundel.frontend.model_file import LoadedModel, Model, load_model
from roundel.frontend.opsets import modern


def prepare(model: Model) -> LoadedModel:
    """Read a model, and bring it to opset 11 or newer.

    Parameters
    ----------
    model
        The path of an ONNX file, its bytes, or an `onnx.ModelProto`, which is left alone.

    Raises
    ------
    InputError
        What `load_model` and `modern` refuse: one line that names the file.
    """
    proto, file = load_model(model)
    return LoadedModel(modern(proto, file), file)

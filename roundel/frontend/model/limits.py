"""What a file may ask for: beyond these limits it is damaged or hostile, and is refused before any memory is taken."""

from math import prod

MOST_NODES = 10_000
"""Operators, those of the file's own functions counted wherever they are used."""
MOST_LAYERS = 20_000
"""Layers that operators become: a sum of many tensors, or a part of a split, is one for each."""
MOST_NESTING = 64
"""Functions that call functions, one inside the other."""
MOST_PADDING = 256
"""Rows or columns of padding on one side of a map."""
MOST_VALUES = 1 << 26
"""Values of an image and of any other tensor, for one image: 256 MiB in float32."""
MOST_IN_ALL = 1 << 28
"""Values of all tensors together, for one image: 1 GiB in float32."""
MOST_IN_WINDOWS = 1 << 30
"""Values in all windows of one convolution or pool together, for one image."""


def too_many(shape: tuple[int, ...]) -> str | None:
    """Return why a tensor of `shape`, for one image, is refused: it is too large, or empty; None if it is neither."""
    if min(shape, default=1) < 1:
        return f"expected sizes of at least 1, not {shape}"
    if prod(shape) > MOST_VALUES:
        return f"expected at most {MOST_VALUES} values an image, not {prod(shape)}"
    return None

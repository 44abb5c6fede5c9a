"""Options of training with integers in the loop."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.golden.opq import ChannelPattern
from roundel.golden.parameters import check_bool
from roundel.quantization import QuantizeOptions


@dataclass(frozen=True, kw_only=True, eq=False)
class QatOptions:
    """What the integers are to be like.

    Parameters
    ----------
    search
        Bits of weights, activations and biases, and how the formats are found that training starts from.
    pattern
        The pattern of input channels of every convolution that it suits; None for none.
    patterns
        Patterns of convolutions that differ from `pattern`, by name; None: none there.
    masks
        Weights that may differ from 0, in the shape of the layer's weights, by layer: those of OPQ's plans, or yours.
    learn_formats
        Whether fractional bits are learned as well; else they stay as quantization chose them.
    half_gradients
        Whether gradients of convolutions are computed in bfloat16, which some processors do at twice the speed; what
        goes forward is exact in any case.

    Raises
    ------
    TypeError, ValueError
        A value of the wrong kind, or requantizers that do not shift.
    """

    search: QuantizeOptions = field(default_factory=QuantizeOptions)
    pattern: ChannelPattern | None = None
    patterns: Mapping[str, ChannelPattern | None] = field(default_factory=dict)
    masks: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    learn_formats: bool = True
    half_gradients: bool = False

    def __post_init__(self) -> None:
        check_bool("learn_formats", self.learn_formats)
        check_bool("half_gradients", self.half_gradients)
        if self.search.scaled:
            raise ValueError(f"requant must be shift to be trained, not {self.search.requant.value}")
        for name, mask in self.masks.items():
            if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_:
                raise TypeError(f"masks[{name!r}] must be an array of booleans")

"""Training that knows the integers: torch modules whose forward pass is golden's arithmetic (docs/training.md)."""

from roundel.golden.opq import ChannelPattern
from roundel.qat.options import QatOptions
from roundel.qat.preparing import layer_masks, mask_channels, prepare

__all__ = ["ChannelPattern", "QatOptions", "layer_masks", "mask_channels", "prepare"]

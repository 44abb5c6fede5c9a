"""Streams of boxes in, streams of kept boxes out."""

from roundel.hw.nms.exact import ExactNms
from roundel.hw.nms.greedy import GreedyNms
from roundel.hw.nms.streams import box_layout, boxes_out
from roundel.hw.nms.unit import Nms

__all__ = [
    "ExactNms",
    "GreedyNms",
    "Nms",
    "box_layout",
    "boxes_out",
]

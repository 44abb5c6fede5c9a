"""Streams of boxes in, streams of kept boxes out."""

from roundel.hw.nms.exact import ExactNms
from roundel.hw.nms.greedy import GreedyNms
from roundel.hw.nms.streams import box_layout, boxes_in, boxes_out
from roundel.hw.nms.topk import TopK
from roundel.hw.nms.unit import Nms

__all__ = [
    "ExactNms",
    "GreedyNms",
    "Nms",
    "TopK",
    "box_layout",
    "boxes_in",
    "boxes_out",
]

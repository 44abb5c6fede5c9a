"""Boxes, and every way to suppress them."""

from roundel.golden.nms.detections import Detections, Fault, Floats, by_score, columns, faults, iou, numbers, outside
from roundel.golden.nms.exact import AREA_FRACTION, CODE_WIDTH, ExactParams, area_code
from roundel.golden.nms.format import MAX_CAPACITY, MAX_LABELS, BoxFormat, Form, Verdict, rational
from roundel.golden.nms.greedy import GreedyParams, greedy_nms
from roundel.golden.nms.integer import NmsParams
from roundel.golden.nms.kinds import METHODS, Suppression, candidates_of, kind_of, suppression_of
from roundel.golden.nms.presets import PRESETS, preset
from roundel.golden.nms.psrr import psrr_nms
from roundel.golden.nms.psrr_params import MAX_IMAGE, Pass, PsrrParams, Semantics, Shift
from roundel.golden.nms.selection import Share
from roundel.golden.nms.topk import MAX_CANDIDATES, TopKParams, best

__all__ = [
    "AREA_FRACTION",
    "CODE_WIDTH",
    "MAX_CANDIDATES",
    "MAX_CAPACITY",
    "MAX_IMAGE",
    "MAX_LABELS",
    "METHODS",
    "PRESETS",
    "BoxFormat",
    "Detections",
    "ExactParams",
    "Fault",
    "Floats",
    "Form",
    "GreedyParams",
    "NmsParams",
    "Pass",
    "PsrrParams",
    "Semantics",
    "Share",
    "Shift",
    "Suppression",
    "TopKParams",
    "Verdict",
    "area_code",
    "best",
    "by_score",
    "candidates_of",
    "columns",
    "faults",
    "greedy_nms",
    "iou",
    "kind_of",
    "numbers",
    "outside",
    "preset",
    "psrr_nms",
    "rational",
    "suppression_of",
]

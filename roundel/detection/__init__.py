"""Detectors, files of boxes, average precision, non-maximum suppression."""

from roundel.detection.detections import Objects, Scenes, read_scenes
from roundel.detection.detector import Detector, evaluate, load
from roundel.detection.nms_options import parse_image
from roundel.detection.nms_result import PICTURES, NmsResult
from roundel.detection.precision import accuracy
from roundel.detection.suppression import suppress

__all__ = [
    "PICTURES",
    "Detector",
    "NmsResult",
    "Objects",
    "Scenes",
    "accuracy",
    "evaluate",
    "load",
    "parse_image",
    "read_scenes",
    "suppress",
]

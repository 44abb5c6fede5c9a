"""Detectors, files of boxes, average precision, `roundel nms`."""

from roundel.detection.detections import Scenes, read_scenes
from roundel.detection.detector import Detector, evaluate, load
from roundel.detection.precision import accuracy

__all__ = [
    "Detector",
    "Scenes",
    "accuracy",
    "evaluate",
    "load",
    "read_scenes",
]

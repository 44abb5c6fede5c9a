"""Detectors, files of boxes, average precision, non-maximum suppression."""

from roundel.detection.decoding import candidates, corners, location_scores, scores, sigmoid, softmax
from roundel.detection.detections import Objects, Scenes, read_scenes
from roundel.detection.detector import Detector
from roundel.detection.detector_file import load, written
from roundel.detection.forms import HeadForm
from roundel.detection.nms_options import parse_image
from roundel.detection.nms_result import PICTURES, NmsResult
from roundel.detection.precision import GREEDY, METHODS, Method, accuracy, evaluate
from roundel.detection.same_boxes import AGREES, agreement
from roundel.detection.scale import Scale
from roundel.detection.scenes import KINDS, SIZE, scene
from roundel.detection.sizing import BoxFigures
from roundel.detection.suppression import suppress

__all__ = [
    "AGREES",
    "GREEDY",
    "KINDS",
    "METHODS",
    "PICTURES",
    "SIZE",
    "BoxFigures",
    "Detector",
    "HeadForm",
    "Method",
    "NmsResult",
    "Objects",
    "Scale",
    "Scenes",
    "accuracy",
    "agreement",
    "candidates",
    "corners",
    "evaluate",
    "load",
    "location_scores",
    "parse_image",
    "read_scenes",
    "scene",
    "scores",
    "sigmoid",
    "softmax",
    "suppress",
    "written",
]

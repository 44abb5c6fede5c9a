"""Picture files: read, letterboxed into a network's input, and drawn with the boxes that were found."""

from roundel.runtime.pictures.drawing import draw_boxes
from roundel.runtime.pictures.letterbox import Letterbox
from roundel.runtime.pictures.preparing import PAD, Pictures, PictureSource, Prepared
from roundel.runtime.pictures.reading import SUFFIXES, read_picture

__all__ = [
    "PAD",
    "SUFFIXES",
    "Letterbox",
    "PictureSource",
    "Pictures",
    "Prepared",
    "draw_boxes",
    "read_picture",
]

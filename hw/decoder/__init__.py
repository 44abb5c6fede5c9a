"""Bytes to beats of weights: frame, then one core a format."""

from roundel.hw.decoder.frame import status_layout
from roundel.hw.decoder.unit import CORES, Decoder, weights_layout
from roundel.hw.decoder.words import input_layout

__all__ = [
    "CORES",
    "Decoder",
    "input_layout",
    "status_layout",
    "weights_layout",
]

"""Functions of one value behind the requantizers: beats of words in, beats of bytes out, a table for each layer."""

from roundel.hw.activation.baselines import ByteTablePort, PolynomialCore, SlopeOffsetCore
from roundel.hw.activation.lane import ActivationLane, lane_ports
from roundel.hw.activation.lanes import ActivationLanes
from roundel.hw.activation.unit import Activation

__all__ = [
    "Activation",
    "ActivationLane",
    "ActivationLanes",
    "ByteTablePort",
    "PolynomialCore",
    "SlopeOffsetCore",
    "lane_ports",
]

"""Heads of detectors: from integer tensors to scored boxes."""

from roundel.golden.head.forms import BoxForm, Centre, Score, Side, log_sigmoid, side_logarithms
from roundel.golden.head.lengths import (
    BINS,
    MOST_PRIORS,
    CentreParams,
    CornerParams,
    DistributionParams,
    PlaceParams,
    SideParams,
)
from roundel.golden.head.params import MAX_CLASSES, MAX_STRIDE, SHIFTS, Boxes, HeadParams, decode, neighbourhoods
from roundel.golden.head.scores import ProductParams, SoftmaxParams, cost_fraction, most_cost

__all__ = [
    "BINS",
    "MAX_CLASSES",
    "MAX_STRIDE",
    "MOST_PRIORS",
    "SHIFTS",
    "BoxForm",
    "Boxes",
    "Centre",
    "CentreParams",
    "CornerParams",
    "DistributionParams",
    "HeadParams",
    "PlaceParams",
    "ProductParams",
    "Score",
    "Side",
    "SideParams",
    "SoftmaxParams",
    "cost_fraction",
    "decode",
    "log_sigmoid",
    "most_cost",
    "neighbourhoods",
    "side_logarithms",
]

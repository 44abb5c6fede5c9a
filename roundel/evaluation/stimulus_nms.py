"""Stimulus for measuring suppression units: images of clustered boxes, the same for all units of a comparison."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from roundel.golden.errors import InputError
from roundel.golden.nms import BoxFormat, ExactParams, GreedyParams, NmsParams, Semantics, TopKParams, preset
from roundel.sim.stimuli import BoxImage, clusters
from roundel.synth.measure import BoxStream

IMAGES = 2
BOXES = 1000  # of an image
BOXES_EACH = 18  # of an object
SPREAD = 0.08  # of a box around its object, as a part of the object's sides
LANES = (1, 2, 4)
ORDERS = (Semantics.PARALLEL, Semantics.CASCADE)
ADJACENT = {"guard": preset("guarded").guard, "alpha": 1.0}  # adjacent scales, with what made the most of them
COMPARATORS = (4, 8)
FIXED = ("method", "semantics", "lanes", "passes")
SHARED = ("format", "capacity")  # parameters that GreedyNMS has as well

Variant = tuple[str, NmsParams | GreedyParams | ExactParams | TopKParams]


def variants(common: Mapping[str, Any]) -> list[Variant]:
    """Return unit and parameters of every row.

    These are `psrr` in both semantics and 1, 2 and 4 lanes, `guarded` in both semantics, adjacent scales with the
    guard, both kinds of GreedyNMS, and top-k, which suppresses nothing.

    As a cascade `guarded` takes minutes to map, and too long to simulate as gates.

    Parameters
    ----------
    common
        Keyword arguments of `NmsParams` for all; those of `SHARED` go to all others too. A single class, unless set.

    Raises
    ------
    InputError
        A parameter that makes the rows differ, or a bad one.
    """
    if fixed := [name for name in FIXED if name in common]:
        raise InputError(f"compare nms: {fixed[0]} cannot be set, all rows are compared")
    form = {"classes": 1} | dict(common.get("format", {}))
    given = dict(common) | {"format": form}
    shared = {name: given[name] for name in SHARED if name in given}
    try:
        return [
            *(("nms", NmsParams(method="psrr", semantics=Semantics.PARALLEL, lanes=lanes, **given)) for lanes in LANES),
            ("nms", NmsParams(method="psrr", semantics=Semantics.CASCADE, **given)),
            *(("nms", NmsParams(method="guarded", semantics=semantics, **given)) for semantics in ORDERS),
            ("nms", NmsParams(method="adjacent", semantics=Semantics.PARALLEL, **(ADJACENT | given))),
            *(("exact_nms", ExactParams(comparators=count, **shared)) for count in COMPARATORS),
            ("topk", TopKParams(**{"capacity": ExactParams.capacity} | shared)),
            *(("greedy_nms", GreedyParams(lanes=lanes, **shared)) for lanes in LANES),
        ]
    except (TypeError, ValueError) as error:
        raise InputError(f"compare nms: {error}") from None


def crowd(rng: np.random.Generator, form: BoxFormat, count: int) -> BoxImage:
    """Boxes around objects of all sizes, in no order; GreedyNMS keeps about 70 of 1,000."""
    return clusters(rng, form, count, spread=SPREAD, boxes_each=BOXES_EACH)


def box_stream(form: BoxFormat, capacity: int, *, seed: int = 1) -> BoxStream:
    """Images of at most `BOXES` boxes around objects of all sizes, the first one once more at the end."""
    rng, count = np.random.default_rng(seed), min(BOXES, capacity)
    images = [crowd(rng, form, count) for _ in range(IMAGES)]
    source = f"{IMAGES} images of {count} boxes around {max(1, count // BOXES_EACH)} objects of any size, seed {seed}"
    return BoxStream(source=source, images=(*images, images[0]))

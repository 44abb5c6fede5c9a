"""A recognised detector against the tail, on fresh random maps: every box of every location, and every score."""

from dataclasses import replace

import numpy as np

from roundel.detection import corners, scores, sigmoid
from roundel.golden.head import Score
from roundel.golden.nms import Floats
from roundel.recognition.assembly import Assembled
from roundel.recognition.box_orders import ORDERS
from roundel.recognition.constants import FittedPrior
from roundel.recognition.locating import Arrays, run
from roundel.recognition.score_fit import ScoreKind
from roundel.recognition.tail import NotRecognised, Tail, TailModel

MOST_PIXELS = 0.02
"""How far a corner within the image may be from the tail's in float32, in pixels; a score a thousandth of that."""
DRAWS = 2


def verified(
    tail: Tail, model: TailModel, assembled: Assembled, rng: np.random.Generator, behind: TailModel | None = None
) -> str:
    """Compare boxes and scores on fresh maps, and tell how far apart they are.

    Parameters
    ----------
    tail, model
        The tail, and how it runs.
    assembled
        The detector.
    rng
        Source of raw values.
    behind
        The tail with scores held still, where boxes are made behind a selection.

    Raises
    ------
    NotRecognised
        Further than floats explain.
    """
    furthest, score = 0.0, 0.0
    for _ in range(DRAWS):
        maps = tail.drawn(rng, -1.5, 1.5)
        tensors, outputs = run(model, maps), assembled.tensors(maps)
        chosen = tensors if behind is None else run(behind, maps)
        for place, scale in enumerate(assembled.detector.scales):
            form, count = replace(assembled.detector.form, peaks=False), scale.prior_count
            objectness = outputs[scale.objectness][0] if scale.objectness else None
            boxes = corners(form, scale, outputs[scale.box][0])
            values = scores(form, outputs[scale.cls][0], objectness, count)
            for number, prior in enumerate(assembled.priors[place]):
                rows = prior.group.places @ (1, prior.grid[1]) * count + number
                if not prior.box.assumed:
                    limits = assembled.detector.image * 2
                    group, inner = prior.behind or (prior.group, prior.number)
                    own = np.clip(boxes[group.places @ (1, prior.grid[1]) * count + number], 0, limits)
                    their = _corners(assembled, prior, group.values(chosen)[:, inner])
                    furthest = max(furthest, float(np.abs(own - np.clip(their, 0, limits)).max()))
                score = max(score, float(np.abs(values[rows] - _scores(assembled, prior, tensors, outputs)).max()))
    corner = "" if assembled.priors[0][0].box.assumed else f"corners up to {furthest:.2g} pixels and "
    told = f"{corner}scores up to {score:.2g} from the tail's, on fresh random tensors"
    if not (furthest <= MOST_PIXELS and score <= MOST_PIXELS / 1000):
        raise NotRecognised(f"a detector was found, but it has {told}")
    return told


def _corners(assembled: Assembled, prior: FittedPrior, values: Floats) -> Floats:
    """Return the corners that the tail gives, in pixels, of all columns of a box."""
    found: Floats = values[:, list(prior.box.columns)] @ ORDERS[prior.box.order].T * (assembled.units * 2)
    return found


def _scores(assembled: Assembled, prior: FittedPrior, tensors: Arrays, outputs: dict[str, Floats]) -> Floats:
    """Return the scores that the tail gives as the detector tells them."""
    values = prior.group.values(tensors)[:, prior.number][:, list(prior.scores.columns)]
    form = assembled.detector.form
    if form.score is Score.LOGIT:
        return np.log(values / (1 - values))
    if form.score is Score.PRODUCT and prior.scores.kind is ScoreKind.SIGMOID:
        place = next(place for place, priors in enumerate(assembled.priors) if prior in priors)
        own = outputs[assembled.detector.scales[place].objectness][0]
        x, y = prior.group.places.T
        return values * sigmoid(own[assembled.priors[place].index(prior), y, x].astype(np.float64))[:, None]
    return values

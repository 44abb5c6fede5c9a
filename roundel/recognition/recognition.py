"""Recognises what the tail of a detector computes, by running it: never by names."""

from ast import literal_eval
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from roundel.detection import Detector
from roundel.frontend import Examination
from roundel.recognition.assembly import assemble
from roundel.recognition.box_fit import Attempt, fit_box
from roundel.recognition.constants import Channel, FittedPrior
from roundel.recognition.conventions import undecoded, with_objectness
from roundel.recognition.gathered import Scored, gathered
from roundel.recognition.locating import locate, tables
from roundel.recognition.samples import Samples, draw_samples, groups_of
from roundel.recognition.score_fit import ScoreKind, score_columns, scores_of
from roundel.recognition.selection import known_of, with_selection
from roundel.recognition.tail import NotRecognised, Tail, find_tail, told
from roundel.recognition.verification import verified

SEED = 1
SCORES = {"Sigmoid", "Softmax"}
SHOWN = 3  # forms that a message lists


@dataclass(frozen=True, eq=False)
class Recognised:
    """A detector whose tail is known.

    Attributes
    ----------
    tail
        The tail, with the head convolutions before it.
    detector
        How boxes follow from the head convolutions, split by kind.
    outputs
        The channels of each of the detector's outputs.
    notes
        What was taken by convention, and how far the tail is from the detector on fresh tensors.
    """

    tail: Tail
    detector: Detector
    outputs: dict[str, tuple[Channel, ...]]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Unknown:
    """A tail that is no known form.

    Attributes
    ----------
    why
        Where recognition ended and what was tried, in one line.
    likely
        Whether it looks like a detector's tail: it selects boxes, or joins sigmoids or softmaxes with other values.
    """

    why: str
    likely: bool


def recognise(examination: Examination, seed: int = SEED) -> Recognised | Unknown | None:
    """Recognise the tail of a detector.

    Parameters
    ----------
    examination
        The network.
    seed
        Of the random tensors that the tail runs on.

    Returns
    -------
    Recognised, Unknown or None
        None of a network that does not end in maps of convolutions with something behind them.
    """
    tail = None
    try:
        tail = find_tail(examination)
        return None if tail is None else _recognised(tail, np.random.default_rng(seed))
    except NotRecognised as reason:
        kinds = {item.operator for item in (examination.verdicts if tail is None else tail.operators)}
        likely = bool(kinds & {"NonMaxSuppression", "TopK", "Exp"}) or ("Concat" in kinds and bool(kinds & SCORES))
        return Unknown(f"the head is not recognised: {reason}", likely)


def _recognised(tail: Tail, rng: np.random.Generator) -> Recognised:
    model = tail.model(tail.dense)
    made = tables(tail, locate(tail, model, rng))
    if not made:
        raise NotRecognised(f"no tensor of {told(tail.dense)} has rows that belong to one location each")
    samples, behind = draw_samples(tail, model, groups_of(tail, made), rng), None
    try:
        priors, notes = _priors(samples, decoded=bool(tail.selects))
    except NotRecognised:
        if not tail.selects or not (scored := list(_scored(samples))):
            raise
        priors, behind = gathered(tail, scored, rng)
        notes = []
    known = known_of(tail) | dict(priors[0].known)
    assembled = assemble(tail, priors, _class_names(tail), known)
    notes.append(verified(tail, model, assembled, rng, behind))
    if tail.selects:
        assembled, note = with_selection(tail, assembled, known, rng)
        notes.append(note)
    return Recognised(tail, assembled.detector, assembled.outputs, tuple(notes))


def _scored(samples: Sequence[Samples]) -> Iterator[Scored]:
    """Give the boxes of locations that have scores."""
    for part in samples:
        for box in range(part.boxes):
            if (scores := scores_of(score_columns(part, box))) is not None:
                yield part, box, scores


def _priors(samples: Sequence[Samples], *, decoded: bool) -> tuple[list[FittedPrior], list[str]]:
    """Fit all boxes of all grids; those that the file does not decode by convention, unless it has to decode them."""
    found, failed, notes = [], list[str](), dict[str, None]()
    for part in samples:
        for box in range(part.boxes):
            fitted = _fit(part, box, decoded=decoded)
            if isinstance(fitted, str):
                failed.append(fitted)
                break
            prior, said = fitted
            found.append(prior)
            notes.update(dict.fromkeys(said))
    grids = {prior.grid for prior in found}
    missing = [part.grid for part in samples if part.grid not in grids]
    if not found or missing:
        raise NotRecognised(failed[0] if failed else "no boxes at any location")
    return found, list(notes)


def _fit(samples: Samples, box: int, *, decoded: bool) -> tuple[FittedPrior, list[str]] | str:
    """Fit a box and its scores; the reason where that fails."""
    columns = score_columns(samples, box)
    scores = scores_of(columns)
    where = f"{samples.grid[0]} x {samples.grid[1]} locations of {told(sorted({name for name, _ in samples.columns}))}"
    scoring = {item.column for item in columns if item.kind is not ScoreKind.RAW}
    raw = {item.column: item.channels[0] for item in columns if item.kind is ScoreKind.RAW}
    attempts: list[Attempt] = []
    chosen_raw = False
    for chosen in _quadruples(samples, box, scoring):
        if raw.keys() >= set(chosen):
            chosen_raw = True
            continue
        fitted, tried = fit_box(samples, box, chosen)
        attempts += tried
        if fitted is None:
            continue
        if scores is None:
            return f"{where}: boxes are {fitted.form}, but no column is a sigmoid, a product of two or a softmax"
        scores, notes = with_objectness(samples, fitted, scores)
        return FittedPrior(samples.group, box, fitted, scores), notes
    if not decoded and scores is not None and (assumed := undecoded(samples, raw, scores)) is not None:
        scores, notes = with_objectness(samples, assumed.box, scores)
        return FittedPrior(samples.group, box, assumed.box, scores, assumed.known), [assumed.note, *notes]
    if chosen_raw:
        return f"{where}: four columns are raw values: the file does not decode its boxes"
    if not attempts:
        return f"{where}: no four columns that could be a box"
    nearest = sorted(attempts, key=lambda item: item.apart)[:SHOWN]
    forms = ", ".join(f"{item.form} off by {item.apart:.2g}" for item in nearest)
    return f"{where}: no form fits four columns: {forms} (of the largest value)"


def _quadruples(samples: Samples, box: int, scoring: set[int]) -> Iterator[list[int]]:
    """Give columns that may be a box: the first four of a tensor that change, then of all tensors together."""
    moving = np.nan_to_num(np.abs(samples.moves[:, :, box])).max(axis=(0, 1)) > 0
    left = [column for column in range(len(samples.columns)) if column not in scoring and moving[column]]
    for tensor in dict.fromkeys(name for name, _ in samples.columns):
        own = [column for column in samples.tensor_columns(tensor) if column in left]
        if len(own) >= 4:
            yield own[:4]
    tensors = {samples.columns[column][0] for column in left}
    if len(tensors) > 1 and len(left) >= 4:
        yield left[:4]


def _class_names(tail: Tail) -> list[str] | None:
    """Return the names of classes that the file's metadata has, as ultralytics writes them."""
    for item in tail.examination.model.metadata_props:
        if item.key == "names":
            try:
                names = literal_eval(item.value)
                return [str(name) for name in (names.values() if isinstance(names, dict) else names)]
            except (SyntaxError, ValueError, TypeError):
                return None
    return None

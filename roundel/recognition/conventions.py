"""What files leave to their users: boxes that are not decoded, and an objectness that nobody has multiplied by."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from roundel.golden.head import BoxForm, Centre, Side
from roundel.recognition.box_fit import FittedBox, Quantity
from roundel.recognition.samples import Samples
from roundel.recognition.score_fit import ScoreKind, Scores

OBJECTNESS = "the first score of a box is taken as its objectness, which the file leaves to its user to multiply by"
UNDECODED = "boxes are not decoded in the file: taken as those of"
YOLOX = f"{UNDECODED} YOLOX, (t + place) and exp(t) strides"
CENTERFACE = f"{UNDECODED} CenterFace, centres (t + place + 0.5) and sides exp(t) strides of 4, y before x"
CENTERNET = f"{UNDECODED} CenterNet, centres (t + place) and sides t strides of 4, the 100 best peaks"
PNET = f"{UNDECODED} MTCNN's P-Net, cells from 1 to 12 pixels every 2, corners moved by t times 11"
FIRST, CORNERS = "centre x, centre y, width, height", "x1, y1, x2, y2"
CELL, CELL_STEP, CELL_BORDER = (1.0, 1.0, 12.0, 12.0), 2, 4  # of P-Net: pixels, and cells that its window takes off


@dataclass(frozen=True)
class Assumed:
    """A box by convention.

    Attributes
    ----------
    box
        The box.
    note
        Whose it is taken for.
    known
        What the family's code does with boxes, as `known_of` gives it.
    """

    box: FittedBox
    note: str
    known: Mapping[str, Any] = field(default_factory=dict)


def with_objectness(samples: Samples, box: FittedBox, scores: Scores) -> tuple[Scores, list[str]]:
    """Take the first sigmoid behind anchors as objectness: YOLOv3, v5, v7 and X leave the product to the user.

    Parameters
    ----------
    samples
        Where the columns come from: scores in another tensor than the boxes are classes alone, as RetinaNet's are.
    box, scores
        What was fitted.

    Returns
    -------
    tuple
        The scores, and a note where one of them is an objectness now.
    """
    anchors = box.form is BoxForm.CENTRE and box.side in (Side.EXP, Side.SQUARE_SIGMOID)
    together = samples.columns[scores.columns[0]][0] == samples.columns[box.columns[0]][0]
    if scores.kind is not ScoreKind.SIGMOID or not anchors or not together or len(scores.classes) < 2:
        return scores, []
    objectness, *classes = scores.classes
    return replace(scores, classes=tuple(classes), columns=scores.columns[1:], objectness=objectness), [OBJECTNESS]


def undecoded(samples: Samples, raw: Mapping[int, int], scores: Scores | None) -> Assumed | None:
    """Return the box that raw values are by the code of a family that leaves them as they are; None of no such.

    Parameters
    ----------
    samples, scores
        The samples, and the scores that were found among them.
    raw
        The channel of each column that is a raw value.
    """
    if scores is None or samples.boxes != 1:
        return None
    by_tensor = [samples.tensor_columns(tensor) for tensor in dict.fromkeys(name for name, _ in samples.columns)]
    maps = [[raw[column] for column in own] for own in by_tensor if raw.keys() >= set(own)]
    columns = [column for own in by_tensor if raw.keys() >= set(own) for column in own]
    sizes = [len(own) for own in maps]
    if scores.kind is ScoreKind.SIGMOID and sizes == [2, 2, 10] and len(scores.classes) == 1:
        return _centerface(samples, columns[:4], maps[0][::-1], maps[1][::-1])
    if scores.kind is ScoreKind.SIGMOID and sizes == [2, 2]:
        return _centernet(samples, columns, maps[1], maps[0])
    if scores.kind is ScoreKind.SOFTMAX and sizes in ([4], [4, 10]) and len(scores.classes) == 1:
        return _pnet(samples, columns[:4], maps[0])
    return _yolox(samples, raw, scores)


def _yolox(samples: Samples, raw: Mapping[int, int], scores: Scores) -> Assumed | None:
    """[S] YOLOX' `demo_postprocess`: a box at a location, whose row goes on with sigmoids of objectness and classes."""
    columns = sorted(raw)[:4]
    if len(columns) < 4:
        return None
    height, width = samples.borders[-2:]
    rows, columns_of_grid = samples.grid
    stride = width / columns_of_grid
    tensors = {samples.columns[column][0] for column in (*columns, *scores.columns)}
    behind = scores.kind is ScoreKind.SIGMOID and len(scores.classes) >= 2 and scores.columns[0] == columns[-1] + 1
    if len(tensors) != 1 or not behind or stride != height / rows:
        return None
    channels = [raw[column] for column in columns]
    return Assumed(_centre(columns, channels[:2], channels[2:], stride, 0.0, Side.EXP), YOLOX)


def _centerface(samples: Samples, columns: list[int], sides: list[int], centres: list[int]) -> Assumed | None:
    """[S] CenterFace's `decode`: a heat map, sides, offsets and landmarks, of every 4 pixels, each y before x."""
    if not _every(samples, 4):
        return None
    box = _centre(columns, centres, sides, 4.0, 0.5, Side.EXP)
    return Assumed(box, CENTERFACE, {"suppresses": True, "iou": 0.3, "threshold": 0.5})


def _centernet(samples: Samples, columns: list[int], centres: list[int], sides: list[int]) -> Assumed | None:
    """[S] CenterNet's `ctdet_decode`: heat maps, sides and offsets, of every 4 pixels."""
    if not _every(samples, 4):
        return None
    box = _centre(columns, centres, sides, 4.0, 0.0, Side.LINEAR)
    return Assumed(box, CENTERNET, {"suppresses": False, "peaks": True, "every_class": True, "max_detections": 100})


def _pnet(samples: Samples, columns: list[int], channels: list[int]) -> Assumed | None:
    """[S] MTCNN's `generateBoundingBox`: a cell goes from 2 x + 1 to 2 x + 12, and moves count its side of 11."""
    grid = tuple(-(-(int(size) - 2) // CELL_STEP) - CELL_BORDER for size in samples.borders[-2:])
    if samples.grid != grid:
        return None
    quantities = tuple(
        Quantity(channels=(channel,), function="linear", step=float(CELL_STEP), start=start, factor=CELL[2] - CELL[0])
        for channel, start in zip(channels, CELL, strict=True)
    )
    box = FittedBox(
        form=BoxForm.CORNERS,
        centre=Centre.LINEAR,
        side=Side.LINEAR,
        order=CORNERS,
        columns=tuple(columns),
        quantities=quantities,
        assumed=True,
    )
    return Assumed(box, PNET, {"suppresses": True, "iou": 0.5, "threshold": 0.6})


def _every(samples: Samples, stride: int) -> bool:
    """Whether there is a location every `stride` pixels of the image."""
    return samples.grid == tuple(-(-int(size) // stride) for size in samples.borders[-2:])


def _centre(
    columns: list[int], centres: list[int], sides: list[int], stride: float, offset: float, side: Side
) -> FittedBox:
    """Return a box of centre and sides that count strides."""
    start = offset * stride
    places = [Quantity(channels=(c,), function="linear", step=stride, start=start, factor=stride) for c in centres]
    lengths = [Quantity(channels=(c,), function=side.value, step=0.0, start=0.0, factor=stride) for c in sides]
    return FittedBox(
        form=BoxForm.CENTRE,
        centre=Centre.LINEAR,
        side=side,
        order=FIRST,
        columns=tuple(columns),
        quantities=(*places, *lengths),
        assumed=True,
    )

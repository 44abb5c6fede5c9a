"""What files leave to their users: boxes that are not decoded, and an objectness that nobody has multiplied by."""

from dataclasses import replace

from roundel.golden.head import BoxForm, Centre, Side
from roundel.recognition.box_fit import FittedBox, Quantity
from roundel.recognition.samples import Samples
from roundel.recognition.score_fit import ScoreKind, Scores

OBJECTNESS = "the first score of a box is taken as its objectness, which the file leaves to its user to multiply by"
YOLOX = "boxes are not decoded in the file: taken as those of YOLOX, (t + place) and exp(t) strides"
FIRST = "centre x, centre y, width, height"


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


def undecoded(samples: Samples, columns: list[int], channels: list[int], scores: Scores) -> FittedBox | None:
    """Return the box of YOLOX that four raw values are, as its exporter leaves them; None where they are no such.

    [S] YOLOX' `demo_postprocess`: one box at a location, whose row goes on with the sigmoids of objectness and classes.

    Parameters
    ----------
    samples, scores
        The samples, and the scores that were found among them.
    columns, channels
        The four columns, and the raw values that they are.
    """
    height, width = samples.borders[-2:]
    rows, columns_of_grid = samples.grid
    stride = width / columns_of_grid
    tensors = {samples.columns[column][0] for column in (*columns, *scores.columns)}
    behind = scores.kind is ScoreKind.SIGMOID and len(scores.classes) >= 2 and scores.columns[0] == columns[-1] + 1
    if samples.boxes != 1 or len(tensors) != 1 or not behind or stride != height / rows:
        return None
    quantities = [
        Quantity(channels=(channel,), function="linear", step=stride, start=0.0, factor=stride)
        if place < 2
        else Quantity(channels=(channel,), function="exp", step=0.0, start=0.0, factor=stride)
        for place, channel in enumerate(channels)
    ]
    return FittedBox(
        form=BoxForm.CENTRE,
        centre=Centre.LINEAR,
        side=Side.EXP,
        order=FIRST,
        columns=tuple(columns),
        quantities=tuple(quantities),
        assumed=True,
    )

"""Integer PSRR-MaxpoolNMS against the float one, on boxes whose codes stand for exactly what they are."""

import json
from dataclasses import replace

import numpy as np
import pytest

from roundel.golden.nms import PRESETS, BoxFormat, Detections, Form, NmsParams, Semantics, Shift, psrr_nms

SMALL = BoxFormat(width=44, height=37, classes=3, score_width=5)
CROWDED = {"stride": 4, "areas": (36, 72, 144, 288, 576)}  # channels that fit so small an image
FORMATS = [replace(SMALL, form=form, fraction=fraction) for form in Form for fraction in (0, 3)]


def draw(rng, form, count):
    """Codes of boxes within the image, some at its borders, with equal scores here and there, and labels."""
    image = np.array([form.width, form.height]) << form.fraction
    size = np.minimum(rng.integers(1, 25 << form.fraction, (count, 2)), image - 1)
    reach = [0 * size, size] if form.form is Form.CORNERS else [(size + 1) // 2, (size + 1) // 2]  # to the borders
    first, last = reach[0], image - reach[1]
    place = np.where(rng.random((count, 2)) < 0.2, rng.choice([first, last]), rng.integers(first, last + 1))
    codes = np.hstack([place, place + size if form.form is Form.CORNERS else size])
    return codes, rng.integers(0, 1 << form.score_width, count), rng.integers(0, form.classes, count)


def pixels(codes, form):
    """Corners in pixels, from what the form says of codes."""
    numbers = codes / 2.0**form.fraction
    if form.form is Form.CORNERS:
        return numbers
    return np.hstack([numbers[:, :2] - numbers[:, 2:] / 2, numbers[:, :2] + numbers[:, 2:] / 2])


def float_kept(params, codes, scores, labels):
    """What the float model keeps of the same boxes."""
    classes = labels if params.class_key else None
    return psrr_nms(Detections(boxes=pixels(codes, params.format), scores=scores, classes=classes), params.pyramid)


@pytest.mark.parametrize("shift", [None, *Shift])
@pytest.mark.parametrize("semantics", [None, *Semantics])
@pytest.mark.parametrize("method", PRESETS)
def test_keeps_what_the_float_model_keeps(method, semantics, shift, seed):
    rng = np.random.default_rng(seed)
    shares = []
    for number, form in enumerate(FORMATS * 4):
        guard, class_key = (None, 0.25, 0.4, 0)[number // len(FORMATS)], bool(number % 3)
        params = NmsParams(
            format=form, method=method, semantics=semantics, shift=shift, guard=guard, class_key=class_key, **CROWDED
        )
        codes, scores, labels = draw(rng, form, 60)
        kept = params.compute(codes, scores, labels).kept
        assert kept.tolist() == float_kept(params, codes, scores, labels).tolist()
        shares.append(len(kept) / 60)
    assert 0 < min(shares) < max(shares) < 1


@pytest.mark.parametrize("method", PRESETS)
@pytest.mark.parametrize("form", [BoxFormat(form=form, width=640, height=480, fraction=2) for form in Form])
def test_keeps_what_the_float_model_keeps_at_full_size(form, method, seed):
    rng = np.random.default_rng(seed)
    params = NmsParams(format=form, method=method)
    size = np.exp(rng.uniform(np.log(8), np.log(400 << 2), (500, 2))).astype(int) & ~1
    centre = rng.integers(size // 2, np.array([640, 480]) * 4 - size // 2 + 1)
    codes = np.hstack([centre, size] if form.form is Form.CENTRE else [centre - size // 2, centre + size // 2])
    scores = rng.integers(0, 200, 500)
    kept = params.compute(codes, scores, np.zeros(500, int)).kept
    assert kept.tolist() == float_kept(params, codes, scores, np.zeros(500, int)).tolist()
    assert 0 < len(kept) < 500


def test_ratios_of_its_own(seed):
    rng = np.random.default_rng(seed)
    for ratios in ((1,), (0.25, 1.0, 4.0), (0.5, 0.75, 1.25, 2)):  # thresholds are fractions of small powers of two
        params = NmsParams(format=SMALL, method="psrr", ratios=ratios, **CROWDED)
        codes, scores, labels = draw(rng, SMALL, 200)
        assert params.compute(codes, scores, labels).kept.tolist() == float_kept(params, codes, scores, labels).tolist()


@pytest.mark.parametrize("form", FORMATS)
def test_codes_of_the_boxes_are_the_codes_sent(form, seed):
    codes, scores, labels = draw(np.random.default_rng(seed), form, 80)
    detections = Detections(boxes=pixels(codes, form), scores=scores, classes=labels)
    encoded, ranks = form.encode(detections)
    assert (encoded == codes).all()
    assert form.exact(detections)
    assert (np.argsort(ranks, kind="stable") == np.argsort(scores, kind="stable")).all()


@pytest.mark.parametrize("method", PRESETS)
def test_empty_places_count_in_indices_only(method, seed):
    rng = np.random.default_rng(seed)
    params = NmsParams(format=SMALL, method=method, class_key=True, **CROWDED)
    codes, scores, labels = draw(rng, SMALL, 60)
    present = rng.random(60) < 0.7
    verdict = params.compute(codes, scores, labels, present)
    held = np.flatnonzero(present)
    assert verdict.kept.tolist() == held[params.compute(codes[held], scores[held], labels[held]).kept].tolist()
    codes[~present] = (9, 9, 3, 3)  # what an empty place holds is never looked at
    again = params.compute(codes, scores, labels, present)
    assert (again.kept.tolist(), again.malformed.tolist()) == (verdict.kept.tolist(), [])


MALFORMED = {
    Form.CORNERS: [(9, 9, 9, 12), (9, 9, 12, 9), (12, 9, 9, 12), (9, 12, 12, 9), (0, 0, 45, 9), (0, 0, 9, 38)],
    Form.CENTRE: [(9, 9, 0, 3), (9, 9, 3, 0), (1, 9, 3, 2), (9, 1, 2, 3), (43, 9, 3, 2), (9, 36, 2, 3)],
}


@pytest.mark.parametrize("form", Form)
def test_malformed_boxes_are_left_out(form, seed):
    rng = np.random.default_rng(seed)
    params = NmsParams(format=replace(SMALL, form=form), class_key=True, **CROWDED)
    codes, scores, labels = draw(rng, params.format, 60)
    bad = np.sort(rng.choice(60, 7, replace=False))
    codes[bad[:6]] = MALFORMED[form]
    scores[bad] = 31  # they would win their windows
    labels[bad[6]] = 3
    verdict = params.compute(codes, scores, labels)
    good = np.delete(np.arange(60), bad)
    assert verdict.malformed.tolist() == bad.tolist()
    assert not verdict.overflow
    assert verdict.kept.tolist() == good[params.compute(codes[good], scores[good], labels[good]).kept].tolist()


def test_boxes_beyond_the_capacity_are_left_out(seed):
    params = NmsParams(format=SMALL, capacity=32, lanes=4, method="adjacent", **CROWDED)
    codes, scores, labels = draw(np.random.default_rng(seed), SMALL, 40)
    codes[35] = 0  # and whatever else is wrong with them is not reported
    verdict, first = (params.compute(codes[:n], scores[:n], labels[:n]) for n in (40, 32))
    assert (verdict.kept.tolist(), verdict.malformed.tolist()) == (first.kept.tolist(), [])
    assert (verdict.overflow, first.overflow) == (True, False)
    present = np.arange(40) < 32
    assert not params.compute(codes, scores, labels, present).overflow


def test_classes_meet_unless_they_have_tables_of_their_own():
    codes, scores, labels = np.tile([8, 8, 16, 16], (3, 1)), np.array([1, 3, 2]), np.array([0, 1, 0])
    kept = {key: NmsParams(format=SMALL, class_key=key).compute(codes, scores, labels).kept for key in (False, True)}
    assert {key: value.tolist() for key, value in kept.items()} == {False: [1], True: [1, 2]}


def test_an_image_without_boxes():
    verdict = NmsParams().compute(np.zeros((0, 4), int), np.zeros(0, int), np.zeros(0, int))
    assert (verdict.kept.tolist(), verdict.malformed.tolist(), verdict.overflow) == ([], [], False)


@pytest.mark.parametrize(
    "params",
    [
        NmsParams(),
        NmsParams(method="psrr", semantics="parallel", shift="quad", lanes=2, class_key=True, guard=0.25),
        NmsParams(format=FORMATS[3], stride=4, alpha=0.5, areas=(36, 72), ratios=(1, 2), epoch_width=4, banks=3),
        NmsParams(
            method="psrr",
            areas=(64.0, 128.0),
            ratios=(1,),
            passes=({"scales": [[0], [1]], "ratios": [[0]], "kernel": "largest", "shift_x": True},),
        ),
    ],
)
def test_parameters_survive_json(params):
    again = NmsParams(**json.loads(json.dumps(params.as_dict())))
    assert again == params
    assert again.pyramid == params.pyramid


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"format": 3}, TypeError, "format must be a BoxFormat, not 3"),
        ({"format": {"width": 0}}, ValueError, "width must be 1 to 4096, not 0"),
        ({"method": "best"}, ValueError, "method must be one of maxpool, psrr, adjacent, guarded, not 'best'"),
        ({"semantics": "both"}, ValueError, "semantics must be one of parallel, cascade, not 'both'"),
        ({"shift": "up"}, ValueError, "shift must be one of none, diagonal, quad, not 'up'"),
        ({"stride": 12}, ValueError, "stride must be a power of two, not 12; 8 is one"),
        ({"guard": 1.0}, ValueError, "guard must be 0 to below 1, or None, not 1.0"),
        ({"class_key": 1}, TypeError, "class_key must be a bool, not 1"),
        ({"method": ["psrr"]}, ValueError, r"method must be one of maxpool, psrr, adjacent, guarded, not \['psrr'\]"),
        (
            {"guard": 0.999},
            ValueError,
            "a threshold must be a fraction with a denominator up to 256, not 0.999; 0.99609375 is one",
        ),
        ({"ratios": (1, 1.001, 1.002)}, ValueError, "a threshold must be a fraction .* not 1.0005; 1.00390625 is one"),
        ({"ratios": (2.0005, 2.0006, 2.0007)}, ValueError, "ratios must be further apart .*"),
        ({"areas": "abc"}, TypeError, "areas must be numbers, not 'abc'"),
        ({"passes": "abc"}, TypeError, "passes must be a list of passes, not 'abc'"),
        ({"passes": (), "shift": "quad"}, ValueError, "shift must not be given with passes, which have their own"),
        ({"alpha": 1e308}, ValueError, r"alpha must be above 0 and at most 1000, not 1e\+308"),
        ({"lanes": True}, TypeError, "lanes must be an integer, not True"),
        ({"lanes": 3}, ValueError, "lanes must be 1, 2 or 4, not 3"),
        ({"lanes": 4, "capacity": 30}, ValueError, "capacity must be a multiple of lanes, not 30; 28 is one"),
        (
            {"lanes": 2, "method": "psrr"},
            ValueError,
            "lanes must be 1 for a cascade, not 2; semantics=parallel allows more",
        ),
        ({"capacity": 65537}, ValueError, "capacity must be 1 to 65536, not 65537"),
        ({"banks": 1}, ValueError, "banks must be 2 to 8, not 1"),
        ({"epoch_width": 1.5}, TypeError, "epoch_width must be an integer, not 1.5"),
    ],
)
def test_bad_parameters(given, error, message):
    with pytest.raises(error, match=f"^{message}$"):
        NmsParams(**given)


@pytest.mark.parametrize(
    ("given", "way_on"),
    [
        ({"lanes": 4, "method": "psrr"}, {"semantics": "parallel"}),
        ({"lanes": 2, "semantics": "cascade"}, {"semantics": "parallel"}),
        ({"stride": 12}, {"stride": 8}),
        ({"stride": 4095}, {"stride": 2048}),
        ({"guard": 0.999}, {"guard": 0.99609375}),
        ({"guard": 0.001}, {"guard": 0.00390625}),
        ({"lanes": 4, "capacity": 30}, {"capacity": 28}),
        ({"lanes": 4, "capacity": 3}, {"capacity": 4}),
        ({"ratios": (2.0005, 2.0006, 2.0007)}, {"ratios": (0.5, 1, 2)}),
    ],
)
def test_a_refusal_names_a_value_that_works(given, way_on):
    with pytest.raises(ValueError) as refusal:  # noqa: PT011 - the message is what is looked at
        NmsParams(**given)
    (value,) = way_on.values()
    assert (value if isinstance(value, str) else str(value).strip("()")) in str(refusal.value).partition(", not ")[2]
    NmsParams(**given | way_on)


def test_what_follows_from_the_parameters():
    """For the manifest: the whole pyramid, with fractions as the hardware has them."""
    derived = NmsParams(method="psrr", semantics="parallel", guard=0.4, format={"classes": 3}, class_key=True).derived()
    assert json.loads(json.dumps(derived)) == derived
    assert (derived["semantics"], derived["stride"], derived["alpha"], derived["guard"]) == (
        "parallel",
        16,
        0.75,
        [2, 5],
    )
    assert derived["ratio_thresholds"] == [[3, 4], [3, 2]]
    assert derived["area_thresholds"] == [(64**2 + 128**2) // 2, (128**2 + 256**2) // 2, (256**2 + 512**2) // 2]
    assert len(derived["passes"]) == 8
    assert len(derived["passes"][0]["kernels"]) == 12
    assert NmsParams().derived()["semantics"] == "parallel"

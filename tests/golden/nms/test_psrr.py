"""PSRR-MaxpoolNMS against a statement of it on the dense map of cells, written in fractions and plain loops."""

from dataclasses import replace
from fractions import Fraction
from itertools import combinations, product
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roundel.golden.errors import InputError
from roundel.golden.nms import PRESETS, Detections, Pass, PsrrParams, Semantics, Shift, preset, psrr_nms
from roundel.golden.nms.psrr import recover
from roundel.golden.nms.psrr_params import Kernel, Means
from tests.support.exact import overlap

SMALL = {"width": 44, "height": 37, "stride": 4, "areas": (36, 72, 144, 288, 576), "ratios": (0.5, 1, 2)}
SINGLE = Pass(scales=[[0]], ratios=[[0]])


def nearest_channel(box, params):
    """Scale and ratio of the channel that minimises the published distance, the lower one of equals."""
    x1, y1, x2, y2 = map(Fraction, box)
    area, ratio = (x2 - x1) * (y2 - y1), (y2 - y1) / (x2 - x1)
    distance = {
        (s, r): (area - Fraction(params.areas[s])) ** 2 + (ratio - Fraction(params.ratios[r])) ** 2
        for s, r in product(range(len(params.areas)), range(len(params.ratios)))
    }
    scale, ratio_index = min(distance, key=lambda channel: (distance[channel], channel))
    if params.means is Means.GEOMETRIC:
        scale = sum(area**2 > Fraction(a) * Fraction(b) for a, b in zip(params.areas, params.areas[1:], strict=False))
    return scale, ratio_index


def rounded_root(square):
    """Root of a fraction, rounded half up, found without a root."""
    root = 0
    while Fraction(2 * root + 1, 2) ** 2 <= square:
        root += 1
    return root


def pieces(cells, kernel, shifted):
    """The windows along one axis, as ranges of cells."""
    starts = [0, *range((kernel + 1) // 2, cells, kernel)] if shifted else list(range(0, cells, kernel))
    return [range(start, end) for start, end in zip(starts, [*starts[1:], cells], strict=True)]


def pooled(dense, one, params):
    """What every window of a pass holds: a list of boxes for each. `dense` maps (scale, ratio, Y, X) to boxes."""
    rule = min if one.kernel is Kernel.SMALLEST else max
    for scales, ratios in product(one.scales, one.ratios):
        sides = {"x": [], "y": []}
        for scale, ratio in product(scales, ratios):
            area, rho = Fraction(params.areas[scale]), Fraction(params.ratios[ratio])
            for axis, square in (("x", area / rho), ("y", area * rho)):
                cells = Fraction(params.alpha) * rounded_root(square) / params.stride
                sides[axis].append(max(1, floor(cells + Fraction(1, 2))))
        columns = pieces(params.width // params.stride + 1, rule(sides["x"]), one.shift_x)
        rows = pieces(params.height // params.stride + 1, rule(sides["y"]), one.shift_y)
        for ys, xs in product(rows, columns):
            yield [box for place in product(scales, ratios, ys, xs) for box in dense.get(place, [])]


def stated(boxes, scores, classes, params):
    """Indices kept, class by class, window by window."""
    kept = []
    for label in set(classes):
        alive = {i for i in range(len(boxes)) if classes[i] == label}
        dense = {}
        for i in alive:
            x1, y1, x2, y2 = map(Fraction, boxes[i])
            cell = (floor((y1 + y2) / 2 / params.stride), floor((x1 + x2) / 2 / params.stride))
            dense.setdefault((*nearest_channel(boxes[i], params), *cell), []).append(i)
        for one in params.passes:
            seen = set(alive) if params.semantics is Semantics.CASCADE else set(range(len(boxes)))
            for members in pooled(dense, one, params):
                present = [i for i in members if i in seen]
                for i in present:
                    best = min(present, key=lambda j: (-scores[j], j))
                    spared = params.guard is not None and overlap(boxes[i], boxes[best]) <= Fraction(params.guard)
                    if i != best and not spared:
                        alive.discard(i)
        kept += alive
    return sorted(kept)


def scene(rng, count, classes=2):
    """Boxes of whole pixels inside the small image, with few scores, so that ties are common."""
    width, height = SMALL["width"], SMALL["height"]
    sizes = np.minimum(rng.integers(3, 28, (count, 2)), (width, height))
    starts = rng.integers(0, np.array([width, height]) - sizes + 1)
    boxes = [tuple(map(int, box)) for box in np.hstack([starts, starts + sizes])]
    return boxes, rng.integers(1, 12, count).tolist(), rng.integers(0, classes, count).tolist()


def detections(boxes, scores, classes=None):
    return Detections(boxes=np.array(boxes, float).reshape(-1, 4), scores=scores, classes=classes)


@pytest.mark.parametrize("guard", [None, 0.375])
@pytest.mark.parametrize("semantics", list(Semantics))
@pytest.mark.parametrize("shift", list(Shift))
@pytest.mark.parametrize("name", list(PRESETS))
def test_keeps_what_the_dense_map_keeps(name, shift, semantics, guard, seed):
    rng = np.random.default_rng(seed)
    for alpha in (0.25, 0.75, 1.5):
        params = preset(name, shift=shift, semantics=semantics, guard=guard, alpha=alpha, **SMALL)
        for count in (1, 60):
            given_boxes = scene(rng, count)
            assert psrr_nms(detections(*given_boxes), params).tolist() == stated(*given_boxes, params)


@pytest.mark.parametrize("semantics", list(Semantics))
def test_any_list_of_passes_will_do(semantics, seed):
    rng = np.random.default_rng(seed)
    odd = Pass(scales=[[3, 0], [1], [4, 2]], ratios=[[2, 0], [1]], kernel="largest", shift_x=True)
    passes = [odd, replace(odd, kernel="smallest", shift_x=False, shift_y=True)]
    for _ in range(5):
        params = PsrrParams(passes=passes, semantics=semantics, alpha=rng.uniform(0.2, 1.5), **SMALL)
        given_boxes = scene(rng, 40, classes=1)
        assert psrr_nms(detections(*given_boxes), params).tolist() == stated(*given_boxes, params)


@given(st.data())
@pytest.mark.parametrize("means", list(Means))
def test_recovery_finds_the_nearest_channel(means, data):
    """Any quarter of a pixel, areas and ratios on the thresholds among them."""
    params = preset("psrr", means=means, areas=(36, 144, 576), ratios=(0.5, 1, 2), stride=8, width=200, height=200)
    # 9.486...^2 = 90 and 18.97^2 = 360 are the arithmetic thresholds, 72 and 288 the geometric ones
    exact = [(9, 10), (15, 6), (18, 20), (24, 15), (9, 8), (8, 9), (12, 9), (16, 18), (8, 6), (4, 6), (8, 12), (7, 7)]
    quarters = st.integers(1, 160).map(lambda n: n / 4)
    width, height = data.draw(st.one_of(st.sampled_from(exact), st.tuples(quarters, quarters)))
    x, y = data.draw(st.integers(0, 600)) / 4, data.draw(st.integers(0, 600)) / 4
    box = (x, y, x + width, y + height)
    cells, scale, ratio = recover(np.array([box]), params)
    assert (scale[0], ratio[0]) == nearest_channel(box, params)
    assert cells.tolist() == [[floor((2 * x + width) / 16), floor((2 * y + height) / 16)]]


def test_a_box_on_a_threshold_takes_the_lower_channel():
    params = preset("psrr", areas=(36, 144), ratios=(0.5, 1, 2))
    boxes = np.array([(0, 0, 9, 10), (0, 0, 9, 10.25), (0, 0, 8, 6), (0, 0, 8, 6.25), (0, 0, 6, 9), (0, 0, 6, 9.25)])
    _, scale, ratio = recover(boxes, params)
    assert scale.tolist() == [0, 1, 0, 0, 0, 0]
    assert ratio.tolist() == [1, 1, 0, 1, 1, 2]


@pytest.mark.parametrize(
    ("alpha", "shift", "edges"),
    [
        (1.0, False, [4, 8]),  # 4 cells
        (1.0, True, [2, 6]),
        (0.75, False, [3, 6]),  # 3 cells: the first window of the shifted grid has 2, not 1
        (0.75, True, [2, 5]),
        (0.1, True, [1, 2]),  # never less than 1 cell
    ],
)
@pytest.mark.parametrize("axis", [0, 1])
def test_edges_of_windows(alpha, shift, edges, axis):
    """Of two boxes whose centres are less than a pixel apart both live if an edge lies between them, else one."""
    one = replace(SINGLE, shift_x=shift and axis == 0, shift_y=shift and axis == 1)
    params = PsrrParams(passes=[one], alpha=alpha, stride=4, areas=[256], ratios=[1], width=100, height=100)

    def kept(*centres):
        middles = np.full((len(centres), 2), 48.0)
        middles[:, axis] = centres
        return psrr_nms(detections(np.hstack([middles - 2, middles + 2]), range(len(centres))), params).tolist()

    for edge in edges:
        assert kept(4 * edge - 0.25, 4 * edge) == [0, 1]
        assert kept(4 * edge - 0.5, 4 * edge - 0.25) == [1]
        assert kept(4 * edge + 0.25, 4 * edge) == [1]


@pytest.mark.parametrize("name", list(PRESETS))
def test_of_equal_boxes_the_first_of_each_class_is_kept(name):
    found = detections([(8, 8, 72, 72)] * 5, [1, 2, 2, 2, 1], [3, 0, 3, 3, 9])
    assert psrr_nms(found, preset(name)).tolist() == [1, 2, 4]
    flat = detections([(8, 8, 72, 72)] * 5, [-np.inf] * 5)
    assert psrr_nms(flat, preset(name)).tolist() == [0]


def test_a_cascade_spares_what_a_dead_box_would_have_killed():
    """Along one row of cells 1 dies of 2 in the plain grid; 0 shares a window with 1 in the shifted grid only."""
    passes = [SINGLE, replace(SINGLE, shift_x=True)]
    params = PsrrParams(passes=passes, alpha=1, stride=4, areas=[256], ratios=[1], semantics="cascade")
    found = detections([(8, 0, 20, 4), (12, 0, 24, 4), (24, 0, 32, 4)], [1, 2, 3])  # cells 3, 4 and 7
    assert psrr_nms(found, params).tolist() == [0, 2]
    assert psrr_nms(found, replace(params, semantics="parallel")).tolist() == [2]


def test_the_guard_spares_what_hardly_overlaps():
    params = PsrrParams(passes=[SINGLE], alpha=1, stride=64, areas=[4096], ratios=[1], guard=0.25)
    found = detections([(0, 0, 40, 10), (24, 0, 64, 10), (23, 0, 63, 10)], [3, 2, 1])  # 16 of 64, 17 of 63
    assert psrr_nms(found, params).tolist() == [0, 1]
    assert psrr_nms(found, replace(params, guard=None)).tolist() == [0]


def test_large_images_and_the_far_corner():
    params = preset("psrr", width=4096, height=4096, stride=1)
    corner, zero = (4095.5, 4095.5, 4096, 4096), (0, 0, 0.25, 0.25)
    assert psrr_nms(detections([corner, zero, corner], [1, 2, 3]), params).tolist() == [1, 2]
    with pytest.raises(InputError, match=r"^boxes\[1\] is .*: expected corners within the image, 4096 x 4096$"):
        psrr_nms(detections([corner, (0, 0, 4096.25, 1)], [1, 2]), params)


def test_nothing_in_nothing_out():
    assert psrr_nms(detections([], []), preset("guarded")).tolist() == []


def test_presets_are_the_published_pyramids():
    assert [len(one.groups) for one in preset("maxpool").passes] == [12, 4, 3]
    paper = preset("psrr")
    assert [len(one.groups) for one in paper.passes] == [12, 12, 4, 4, 3, 3, 1, 1]
    assert [(one.shift_x, one.shift_y) for one in paper.passes] == [(False, False), (True, True)] * 4
    # 64 x 64 at ratio 1/2 is 91 x 45, 4.27 x 2.11 kernels of 16 pixels at 0.75; all together have the smallest sides
    assert paper.kernels(paper.passes[0])[0] == (4, 2)
    assert paper.kernels(paper.passes[-1]) == [(2, 2)]
    # the windows that the specification counts for the plain passes at 640 x 640
    assert sum(paper.window_count(one) for one in paper.passes[::2]) == 2613


@pytest.mark.parametrize("name", list(PRESETS))
def test_tables_have_a_word_for_every_window(name):
    """Image sizes that end within, on and just behind a window; shifted grids have the partial windows of both ends."""
    for width, height in ((640, 640), (44, 37), (95, 96), (1920, 1080)):
        params = preset(name, shift="quad", width=width, height=height, alpha=0.75)
        for one in params.passes:
            assert params.window_count(one) == len(list(pooled({}, one, params)))


def test_adjacent_pools_neighbouring_scales():
    params = preset("adjacent")
    assert [round(area**0.5) for area in params.areas] == [64, 91, 128, 181, 256, 362, 512]
    assert [one.scales for one in params.passes[::4]] == [
        ((0, 1), (2, 3), (4, 5), (6,)),
        ((0,), (1, 2), (3, 4), (5, 6)),
    ]
    assert len(params.passes) == 8
    assert len({(one.shift_x, one.shift_y) for one in params.passes[4:]}) == 4
    assert params.guard is None


@pytest.mark.parametrize(("shift", "count"), [("none", 2), ("diagonal", 4), ("quad", 8)])
def test_guarded_passes_differ_in_two_directions(shift, count):
    params = preset("guarded", shift=shift)
    scales = (((0, 1), (2, 3)), ((0,), (1, 2), (3,)))
    ratios = (((0, 1), (2,)), ((0,), (1, 2)))
    offsets = [(scales.index(one.scales), ratios.index(one.ratios), one.shift_x, one.shift_y) for one in params.passes]
    assert len(set(offsets)) == count
    distances = {sum(a != b for a, b in zip(x, y, strict=True)) for x, y in combinations(offsets, 2)}
    assert min(distances) == 2
    assert max(params.window_count(one) for one in params.passes) <= 512
    assert params.area_thresholds == (2**13, 2**15, 2**17)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"stride": 12}, ValueError, "stride must be a power of two, not 12; 8 is one"),
        ({"stride": 8.0}, TypeError, "stride must be an integer, not 8.0"),
        ({"width": 4097}, ValueError, "width must be 1 to 4096, not 4097"),
        ({"alpha": 0}, ValueError, "alpha must be above 0 and at most 1000, not 0"),
        ({"alpha": float("nan")}, ValueError, "alpha must be above 0 and at most 1000, not nan"),
        ({"guard": 1}, ValueError, "guard must be 0 to below 1, or None, not 1"),
        ({"guard": "0.5"}, TypeError, "guard must be a number, not '0.5'"),
        ({"areas": (64, 64, 65, 66)}, ValueError, "areas must be numbers above 0, each larger than the one before, .*"),
        ({"ratios": (0, 1, 2)}, ValueError, "ratios must be numbers above 0, each larger than the one before, .*"),
        ({"semantics": "serial"}, ValueError, "semantics must be one of parallel, cascade, not 'serial'"),
        ({"shift": "both"}, ValueError, "shift must be one of none, diagonal, quad, not 'both'"),
    ],
)
def test_bad_parameters(change, error, message):
    with pytest.raises(error, match=f"^{message}$"):
        preset("psrr", **change)


@pytest.mark.parametrize(
    ("passes", "error", "message"),
    [
        ((), ValueError, "passes must hold at least one pass"),
        ((SINGLE,), ValueError, r"the scales of every pass must be 0 to 3, not \(\(0,\),\)"),
        ((1,), TypeError, "passes must hold objects of the class Pass, not 1"),
    ],
)
def test_bad_passes(passes, error, message):
    with pytest.raises(error, match=f"^{message}$"):
        PsrrParams(passes=passes)


@pytest.mark.parametrize("groups", [[[0, 1], [1]], [[0], [2]], [[0], []], []])
def test_groups_are_a_partition(groups):
    with pytest.raises(ValueError, match=r"^scales must hold every index from 0 exactly once, in groups, not "):
        Pass(scales=groups, ratios=[[0]])


def test_presets_have_names():
    with pytest.raises(ValueError, match=r"^preset must be one of maxpool, psrr, adjacent, guarded, not 'greedy'$"):
        preset("greedy")

"""What follows from parameters, by counting values or by hand."""

from itertools import product

import numpy as np
import pytest

from roundel.golden.formats import Format
from roundel.golden.network import Add, AveragePool, Network, Upsample, Weighted, Window
from roundel.golden.nms import BoxFormat, GreedyParams, NmsParams, preset
from roundel.golden.registers import Access, Register
from roundel.golden.requant import RequantParams, Scheme


def bits_for(values):
    """Bits that tell so many values apart, at least one."""
    return next(bits for bits in range(1, 64) if 1 << bits >= values)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 255, 256, 257, 65536])
def test_widths_of_indices_and_labels(count):
    assert NmsParams(capacity=count).index_width == bits_for(count)
    assert GreedyParams(capacity=count).index_width == bits_for(count)
    if count <= 4096:
        assert BoxFormat(classes=count).label_width == bits_for(count)


@pytest.mark.parametrize("form", ["corners", "centre"])
@pytest.mark.parametrize(
    ("width", "height", "fraction"), [(1, 1, 0), (7, 8, 0), (8, 7, 3), (640, 480, 2), (3, 4096, 8)]
)
def test_widths_of_coordinates(width, height, fraction, form):
    """The border of the image is a coordinate; half a size needs one more fraction bit."""
    made = BoxFormat(width=width, height=height, fraction=fraction, form=form)
    more = form == "centre"
    assert made.coordinate_width == bits_for((max(width, height) << fraction) + 1)
    assert made.corner_fraction == fraction + more
    assert made.corner_width == bits_for((max(width, height) << fraction + more) + 1)
    assert made.borders == (width << fraction + more, height << fraction + more)


@pytest.mark.parametrize(("width", "height", "fraction"), [(5, 4, 0), (6, 5, 1)])
def test_centres_at_the_border_stay_inside(width, height, fraction):
    """All boxes of halves of a code: none leaves the image, and a size is less than its own by a code at most."""
    form = BoxFormat(width=width, height=height, fraction=fraction, form="centre")
    unit = 2**-fraction
    ends = [
        [
            (low * unit / 2, high * unit / 2)
            for low, high in product(range(2 * (size << fraction) + 1), repeat=2)
            if high - low > 2
        ]
        for size in (width, height)
    ]
    boxes = np.array([(x[0], y[0], x[1], y[1]) for x, y in product(*ends)])
    codes = form.codes(boxes)
    assert not form.malformed(codes, np.zeros(len(codes), np.int64)).any()
    sizes = (boxes[:, 2:] - boxes[:, :2]) / unit
    assert (codes[:, 2:] <= np.floor(sizes + 0.5)).all()
    assert (codes[:, 2:] >= sizes - 1.5).all()
    assert (np.abs(codes[:, :2] - (boxes[:, 2:] + boxes[:, :2]) / 2 / unit) <= 0.5).all()


@pytest.mark.parametrize("name", ["maxpool", "psrr", "adjacent", "guarded"])
@pytest.mark.parametrize(("width", "height"), [(640, 480), (96, 96), (33, 1), (4096, 17)])
def test_windows_cover_all_cells(name, width, height):
    """The first window of a group has `lead` cells, every other one `kernel`: as few as cover all columns and rows."""
    pyramid = preset(name, width=width, height=height)
    assert pyramid.cells == (width // pyramid.stride + 1, height // pyramid.stride + 1)
    for level in pyramid.passes:
        total = 0
        for kernel, lead, grid in zip(pyramid.kernels(level), pyramid.leads(level), pyramid.grids(level), strict=True):
            wanted = []
            for cells, size, first in zip(pyramid.cells, kernel, lead, strict=True):
                covered, windows = first, 1
                while covered < cells:
                    covered, windows = covered + size, windows + 1
                wanted.append(windows)
            assert grid == tuple(wanted)
            total += wanted[0] * wanted[1]
        assert pyramid.window_count(level) == total


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ({"scheme": "shift_const", "shift": 1}, []),
        ({"acc_width": 16}, [("shift", 4, False, 0)]),
        ({"acc_width": 17}, [("shift", 5, False, 0)]),
        ({"acc_width": 32}, [("shift", 5, False, 0)]),
        ({"acc_width": 33}, [("shift", 6, False, 0)]),
        (
            {"scheme": "fixed8", "acc_width": 24, "out_width": 7},
            [("multiplier", 8, False, 0), ("shift", 5, False, 0), ("zero_point", 7, True, 0)],
        ),
        (
            {"scheme": "fixed8", "acc_width": 25, "out_signed": False},
            [("multiplier", 8, False, 0), ("shift", 6, False, 0), ("zero_point", 8, False, 0)],
        ),
        (
            {"scheme": "fixed16", "acc_width": 48},
            [("multiplier", 16, False, 0), ("shift", 6, False, 0), ("zero_point", 8, True, 0)],
        ),
        ({"scheme": "fixed32"}, [("multiplier", 32, True, 0), ("shift", 5, False, 0), ("zero_point", 8, True, 0)]),
        ({"scheme": "float32"}, [("scale", 32, False, 0), ("zero_point", 8, True, 0)]),
        ({"scheme": "threshold", "out_width": 3, "acc_width": 20}, [("thresholds", 20, True, 7)]),
        ({"scheme": "codebook", "index_width": 3}, [("boundaries", 32, True, 7), ("levels", 8, True, 8)]),
        ({"scheme": "codebook"}, [("boundaries", 32, True, 15), ("levels", 8, True, 16)]),
    ],
)
def test_run_time_fields(given, fields):
    """A shift of `shift` goes up to the accumulator's width less one, that of `fixed*` up to the product's."""
    params = RequantParams(**given)
    assert [(field.name, field.width, field.signed, field.count) for field in params.runtime_fields] == fields
    counts = [count for *_, count in fields]
    assert params.boundaries == (counts[0] if counts else 0)


THRESHOLDS = RequantParams(scheme="threshold", out_width=2, acc_width=16)
SHIFT = RequantParams(acc_width=16)
FIXED = RequantParams(scheme="fixed8", acc_width=16)
FLOAT = RequantParams(scheme="float32")


@pytest.mark.parametrize(
    ("params", "runtime", "error", "message"),
    [
        (SHIFT, {}, TypeError, r"scheme shift takes \['shift'\], not \[\]"),
        (SHIFT, {"shift": 1, "zero_point": 0}, TypeError, r"takes \['shift'\], not \['shift', 'zero_point'\]"),
        (SHIFT, {"shift": -1}, ValueError, "shift must be 0 to 15, not -1 to -1"),
        (SHIFT, {"shift": [3, 16]}, ValueError, "shift must be 0 to 15, not 3 to 16"),
        (FIXED, {"multiplier": 256, "shift": 0, "zero_point": 0}, ValueError, "multiplier must be 0 to 255, not 256"),
        (FIXED, {"multiplier": 1, "shift": 0, "zero_point": 128}, ValueError, "zero_point must be -128 to 127"),
        (THRESHOLDS, {"thresholds": 5}, ValueError, r"thresholds must end in an axis of 3, not have shape \(\)"),
        (THRESHOLDS, {"thresholds": [1, 2]}, ValueError, r"thresholds must end in an axis of 3, not have shape \(2,\)"),
        (THRESHOLDS, {"thresholds": [3, 2, 4]}, ValueError, "thresholds must ascend"),
        (THRESHOLDS, {"thresholds": [0, 1, 32768]}, ValueError, "thresholds must be -32768 to 32767, not 0 to 32768"),
        (FLOAT, {"scale": 0x7F800000, "zero_point": 0}, ValueError, "not of an infinity or a NaN"),
        (FLOAT, {"scale": 0xFF800001, "zero_point": 0}, ValueError, "not of an infinity or a NaN"),
    ],
)  # fmt: skip
def test_bad_run_time_parameters(params, runtime, error, message):
    with pytest.raises(error, match=message):
        params.compute(0, runtime)


def test_run_time_parameters_at_their_limits():
    assert SHIFT.compute([-32768, 32767], {"shift": [15, 15]}).tolist() == [-1, 1]
    assert THRESHOLDS.compute([-1, 0, 1, 2], {"thresholds": [0, 1, 1]}).tolist() == [-2, -1, 1, 1]
    assert FLOAT.compute([3], {"scale": 0x7F7FFFFF, "zero_point": -5}).tolist() == [127]
    assert FIXED.compute([-32768], {"multiplier": 255, "shift": 23, "zero_point": 0}).tolist() == [-1]
    for accumulator in (-32769, 32768):
        with pytest.raises(ValueError, match=f"accumulators must have 16 bits, not be {accumulator} to {accumulator}"):
            SHIFT.compute(accumulator, {"shift": 0})


S32 = Format(width=32, signed=True, fraction=0)
U8, S8 = (Format(width=8, signed=signed, fraction=0) for signed in (False, True))


@pytest.mark.parametrize("x", [U8, S8, Format(width=5, signed=True, fraction=0, zero=3)])
@pytest.mark.parametrize("count_padding", [False, True])
@pytest.mark.parametrize("kernel", [(1, 1), (2, 1), (1, 5)])
def test_a_mean_is_as_wide_as_its_largest_sum_times_multiplier(kernel, count_padding, x):
    """A map of one place seen by windows of all counts of taps, at both ends of the format."""
    pad = (kernel[0] - 1, kernel[1] - 1, kernel[0] - 1, kernel[1] - 1)
    layer = AveragePool(
        name="mean", sources=("x",), output=Format(width=8, signed=True, fraction=2, mantissa=x.mantissa), x=x,
        w=Format(width=8, signed=False, fraction=7), window=Window(kernel=kernel, pad=pad), count_padding=count_padding,
    )  # fmt: skip
    size = [2 * side for side in kernel]
    sums = [layer.compute(np.full((1, *size, 1), end)).accumulators for end in x.limits]
    low, high = min(int(one.min()) for one in sums), max(int(one.max()) for one in sums)
    assert layer.requantizer_width == next(
        bits for bits in range(1, 64) if -(1 << bits - 1) <= low and high < 1 << bits - 1
    )


def weighted(*, residual=None, x=S8, w=S8, bias=0, fraction=0):
    return Weighted(
        name="layer", sources=("x",) if residual is None else ("x", "r"), x=x, w=w, b=S32, residual=residual,
        output=Format(width=8, signed=True, fraction=fraction), weights=np.array([[1]]), bias=np.array([bias]),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("residual", "width"),
    [
        (Format(width=8, signed=True, fraction=-20), 8 + 20 + 1),
        (Format(width=8, signed=False, fraction=-20), 9 + 20 + 1),
        (Format(width=8, signed=True, fraction=-20, zero=1), 9 + 20 + 1),
        (Format(width=8, signed=False, fraction=-20, zero=1), 9 + 20 + 1),
        (Format(width=8, signed=True, fraction=5), 16 + 5 + 1),  # products of 8 by 8 bits: -128 * -128 takes 16
    ],
)
def test_a_sum_with_a_residual_is_one_bit_wider_than_the_wider_part(residual, width):
    assert weighted(residual=residual).requantizer_width == width


def test_sums_of_63_bits_are_the_widest():
    x, w = Format(width=8, signed=True, fraction=20), Format(width=8, signed=True, fraction=11)
    assert weighted(x=x, w=w, bias=(1 << 31) - 1, fraction=10).requantizer_width == 63
    with pytest.raises(ValueError, match="layer: sums of 64 bits do not fit into 64-bit integers"):
        weighted(x=x, w=w, bias=-(1 << 31), fraction=10)


@pytest.mark.parametrize(("apart", "fits"), [(31, True), (32, False)])
def test_summands_are_at_most_31_bits_apart(apart, fits):
    made = {"name": "sum", "sources": ("x", "y"), "x": S8, "y": Format(width=8, signed=True, fraction=apart)}
    if fits:
        assert Add(**made, output=Format(width=8, signed=True, fraction=apart)).requantizer_width == 8 + 31 + 1
    else:
        with pytest.raises(ValueError, match="sum: summands are 32 bits apart, more than 31"):
            Add(**made, output=Format(width=8, signed=True, fraction=apart))


@pytest.mark.parametrize(
    ("shift", "leak", "message"),
    [
        *((shift, leak, "") for shift, leak in ((0, 0), (31, 0), (30, 1), (0, 31))),
        (32, 0, "shift must be 0 to 31, not 32"),
        (-1, 0, "shift must be 0 to 31, not -1"),
        (30, 2, "shift and leak must be at most 31, not 32"),
        (0, 32, "leak must be 0 to 31, not 32"),
        (0, -1, "leak must be 0 to 31, not -1"),
    ],
)
def test_shifts_and_leaks(shift, leak, message):
    made = {"name": "sum", "sources": ("x", "y"), "x": S8, "y": S8, "leak": leak}
    output = Format(width=8, signed=True, fraction=-shift)
    if not message:
        assert Add(**made, output=output).shift == shift
    else:
        with pytest.raises(ValueError, match=f"sum: {message}"):
            Add(**made, output=output)


@pytest.mark.parametrize(("name", "least"), [("kernel", 1), ("stride", 1), ("pad", 0), ("dilation", 1)])
def test_numbers_of_a_window(name, least):
    length = 4 if name == "pad" else 2
    fixed = {} if name == "kernel" else {"kernel": (1, 1)}
    for value in (least, 4096):
        assert getattr(Window(**fixed, **{name: (value,) * length}), name) == (value,) * length
    for bad, message in (
        ((least - 1, *(1,) * (length - 1)), f"{name} must be {length} integers of at least {least}"),
        ((*(1,) * (length - 1), 4097), f"{name} must be {length} integers of at most 4096"),
        ((1,) * (length + 1), f"{name} must be {length} integers of at least"),
    ):
        with pytest.raises(ValueError, match=message):
            Window(**fixed, **{name: bad})
    for other in ((1.0, *(1,) * (length - 1)), (*(1,) * (length - 1), "1"), [1] * length, 1):
        with pytest.raises(TypeError, match=f"{name} must be a tuple of {length} integers"):
            Window(**fixed, **{name: other})


@pytest.mark.parametrize(
    ("kernel", "dilation", "pad", "stride", "size"),
    [
        ((3, 3), (1, 1), (0, 0, 0, 0), (1, 1), (3, 4)),
        ((3, 2), (2, 3), (1, 0, 0, 0), (1, 2), (2, 2)),
        ((5, 6), (1, 1), (0, 0, 0, 0), (9, 9), (1, 1)),
        ((1, 1), (7, 7), (0, 1, 2, 3), (2, 3), (4, 4)),
    ],
)
def test_sizes_of_windows(kernel, dilation, pad, stride, size):
    """By trying every place on a map of 5 x 6."""
    window = Window(kernel=kernel, dilation=dilation, pad=pad, stride=stride)
    counted = []
    for axis, side in enumerate((5, 6)):
        padded = side + pad[axis] + pad[axis + 2]
        counted.append(
            len([at for at in range(0, padded, stride[axis]) if at + (kernel[axis] - 1) * dilation[axis] < padded])
        )
    assert window.output_size(5, 6) == tuple(counted) == size
    with pytest.raises(ValueError, match="does not fit"):
        Window(kernel=(6, 1)).output_size(5, 6)
    with pytest.raises(ValueError, match="does not fit"):
        Window(kernel=(1, 7)).output_size(5, 6)


def test_the_format_of_a_network_is_that_of_its_last_result():
    layers = [
        Add(name=name, sources=("image", "image"), x=S8, y=S8, output=Format(width=8, signed=True, fraction=-number))
        for number, name in enumerate(("first", "second", "third"), 1)
    ]
    network = Network(source="image", input=S8, layers=tuple(layers), results=("third", "first"))
    assert network.output is layers[0].output
    assert Network(source="image", input=S8, layers=tuple(layers)).output is layers[2].output


@pytest.mark.parametrize(("factor", "good"), [(0, False), (1, True), (64, True), (65, False)])
def test_factors_of_upsampling(factor, good):
    if good:
        assert Upsample(name="up", sources=("x",), output=S8, factor=factor).factor == factor
    else:
        with pytest.raises(ValueError, match=f"up: factor must be 1 to 64, not {factor}"):
            Upsample(name="up", sources=("x",), output=S8, factor=factor)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"width": 1, "init": 1}, ""),
        ({"width": 64, "init": (1 << 64) - 1}, ""),
        ({"offset": 4}, ""),
        ({"width": 0}, "width of x must be 1 to 64, not 0"),
        ({"width": 65}, "width of x must be 1 to 64, not 65"),
        ({"offset": -4}, "offset of x must be a multiple of 4 from 0, not -4"),
        ({"offset": 2}, "offset of x must be a multiple of 4 from 0, not 2"),
        ({"width": 1, "init": 2}, "init of x must have at most 1 bits, not 2"),
        ({"width": 8, "init": -1}, "init of x must have at most 8 bits, not -1"),
    ],
)
def test_registers(fields, message):
    made = {"name": "x", "offset": 0, "access": Access.WRITE} | fields
    if message:
        with pytest.raises(ValueError, match=message):
            Register(**made)
    else:
        Register(**made)


@pytest.mark.parametrize(("offset", "width", "words"), [(0, 1, [0]), (8, 32, [2]), (12, 33, [3, 4]), (4, 64, [1, 2])])
def test_words_of_registers(offset, width, words):
    assert list(Register(name="x", offset=offset, access=Access.READ, width=width).words) == words


def test_multipliers_of_schemes():
    widths = {Scheme.FIXED8: 8, Scheme.FIXED16: 16, Scheme.FIXED32: 32}
    assert [scheme.multiplier_width for scheme in Scheme] == [widths.get(scheme, 0) for scheme in Scheme]

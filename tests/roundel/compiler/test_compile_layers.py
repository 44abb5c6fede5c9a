"""The compiler layer by layer: other requantizers, layouts and special cases, and what it refuses."""

from dataclasses import replace

import numpy as np
import pytest

from roundel.compiler import Head, compile_network
from roundel.compiler.area import Tiling
from roundel.compiler.step_weights import pieces
from roundel.golden.engine import EngineParams, Opcode
from roundel.golden.errors import InputError
from roundel.golden.formats import Format
from roundel.golden.head import HeadParams
from roundel.golden.network import (
    Add,
    AveragePool,
    Concat,
    Flatten,
    MaxPool,
    Network,
    Upsample,
    Weighted,
    Window,
    total_format,
)
from roundel.golden.requant import Scheme
from roundel.golden.rounding import Rounding
from tests.roundel.compiler.test_compile import check, engine
from tests.support.engine_order import UNIT, unit_clocks
from tests.support.random_network import Random

U8, S8 = Format(width=8, signed=False, fraction=3), Format(width=8, signed=True, fraction=3)
SAME = Window(kernel=(3, 3), pad=(1, 1, 1, 1))


def weighted(name, source, channels, outputs, window=SAME, *, x=U8, output=U8, seed=5, **fields):
    rng = np.random.default_rng(seed)
    rows = (window.taps if window else 1) * channels // fields.get("groups", 1)
    return Weighted(
        **{
            "name": name, "sources": (source,), "x": x, "output": output, "window": window,
            "w": Format(width=8, signed=True, fraction=7), "b": Format(width=16, signed=True, fraction=8),
            "weights": rng.integers(-128, 128, (rows, outputs)), "bias": rng.integers(-999, 999, outputs),
        } | fields
    )  # fmt: skip


def network(*layers, form=U8):
    return Network(source="image", input=form, layers=layers)


def image_of(*shape, form=U8):
    return np.random.default_rng(3).integers(*form.limits, shape, endpoint=True)


def blocks_of(compiled, layer):
    """Blocks in the weight streams of a layer's COMPUTE descriptors."""
    params, found = compiled.params, []
    for task, descriptor in zip(compiled.tasks, compiled.program.descriptors, strict=False):
        if task.layer == layer and task.opcode is Opcode.COMPUTE:
            stream = compiled.image[descriptor.weights_offset :][: descriptor.weights_bytes]
            found.append(params.decoder.decode(bytes(stream)).size / (params.columns * params.lanes))
    return found


def tasks_of(compiled, layer):
    return [task for task in compiled.tasks if task.layer == layer and task.opcode is Opcode.COMPUTE]


@pytest.mark.parametrize("name", ["tiny", "small", "medium"])
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 3), (2, 2), (5, 1), (3, 7), (6, 5), (9, 4)])
def test_means_of_whole_maps(name, rows, columns):
    """A step for every four words of all planes, which are one block; the first one brings the weights."""
    params = engine(name, sums=False)
    for form, channels, bits in ((U8, 1, 8), (S8, params.lanes, 8), (U8, 2 * params.lanes + 3, 13)):
        mean = AveragePool(
            name="mean", sources=("conv",), x=form, output=S8, window=Window(kernel=(rows, columns)),
            w=Format(width=bits, signed=True, fraction=bits + int(np.log2(rows * columns)) - 2),
        )  # fmt: skip
        first = weighted("conv", "image", 2, channels, Window(kernel=(1, 1)), output=form)
        compiled = check(network(first, mean), image_of(rows, columns, 2), params)
        (task,) = tasks_of(compiled, "mean")
        planes, steps = -(-channels // params.lanes), -(-rows * columns // min(params.taps, rows * columns))
        assert (task.values["blocks"], task.values["last_h"]) == (1, planes)
        assert task.steps[0] in ([steps] if bits == 8 else [steps, 2 * steps])
        assert blocks_of(compiled, "mean")[0] == task.steps[0] // steps


def test_steps_keep_weights_that_are_those_of_the_step_before():
    """Of a kernel whose rows are alike the stream has one block for all planes but the last, with fewer channels."""
    params = engine("tiny")
    alike = np.tile(np.arange(1, 4)[:, None], (3, 11))  # (taps, channels)
    layer = weighted("conv", "image", 11, 11, groups=11, weights=alike)
    compiled = check(network(layer), image_of(6, 5, 11), params)
    assert set(blocks_of(compiled, "conv")) == {2}
    assert {task.steps for task in tasks_of(compiled, "conv")} == {(9, 9)}


@pytest.mark.parametrize("scales", [True, False])
@pytest.mark.parametrize("width", range(2, 9))
def test_pieces_of_weights_add_up(width, scales, seed):
    rng, params = np.random.default_rng(seed), engine("tiny", weight_width=width, scales=scales)
    for bits in range(2, width + 7 if width > 5 and scales else width + 4):
        least, most = -(1 << bits - 1), (1 << bits - 1) - 1
        for weights in (rng.integers(least, most, (5, 4, 3), endpoint=True), np.array([[0, least, most, least // 2]])):
            parts = pieces("layer", weights, params)
            assert (sum(part.weights.astype(int) * 4**part.scale for part in parts) == weights).all()
            assert max(np.abs(part.weights + 0.5).max() for part in parts) < 1 << width - 1
            if width > 6 and scales:
                assert len(parts) <= 1 + (bits > width)
                assert all((part.weights * np.sign(weights) >= 0).all() for part in parts)


@pytest.mark.parametrize("name", ["tiny", "small"])
def test_wide_weights_on_narrow_arrays(name):
    """Weights of 8 bits on arrays of 4 and 3 bits, and of 13 on arrays of 8; depthwise ones too."""
    wide = {"w": Format(width=13, signed=True, fraction=12), "b": Format(width=16, signed=True, fraction=9)}
    weights = np.random.default_rng(6).integers(-4096, 4096, (18, 7))
    layers = weighted("conv", "image", 2, 7, weights=weights, **wide), weighted("depth", "conv", 7, 7, groups=7)
    check(network(*layers), image_of(5, 6, 2), engine(name))
    for width in (4, 3):
        check(network(weighted("conv", "image", 2, 9)), image_of(5, 6, 2), engine(name, weight_width=width))


@pytest.mark.parametrize("scheme", [Scheme.FIXED8, Scheme.FIXED16, Scheme.FIXED32, Scheme.FLOAT32])
def test_requantizers_that_multiply(scheme, seed):
    rng = Random(seed, scheme)
    rounding = EngineParams(scheme=scheme).rounding
    rng.how = lambda: {"requant": scheme, "rounding": rounding}
    rng.activated = lambda output: {**rng.how(), "output": output, "bounds": (3, 200)}
    rng.formats["image"] = rng.activation(3)
    rng.weighted("conv", "image", channels=3, outputs=9, window=SAME)
    rng.weighted("depthwise", "conv", channels=9, outputs=9, groups=9, window=SAME)
    pool = Window(kernel=(2, 2), stride=(2, 2))
    rng.add(MaxPool, "max", "depthwise", window=pool, output=rng.formats["depthwise"])
    mean = {"x": rng.formats["max"], "w": Format(width=8, signed=True, fraction=7), "window": pool}
    rng.add(AveragePool, "mean", "max", **mean, **rng.activated(rng.activation(2)))
    rng.add(Upsample, "up", "mean", factor=2, output=rng.formats["mean"])
    forms = (rng.formats["up"],)
    rng.add(Concat, "concat", "up", inputs=forms, output=forms[0], **rng.how())
    made = Network(source="image", input=rng.formats["image"], layers=tuple(rng.layers))
    for name in ("tiny", "small"):
        check(made, image_of(9, 8, 3), engine(name, scheme=scheme, rounding=rounding))


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7, 8, 9])
@pytest.mark.parametrize("size", [1, 3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("name", ["tiny", "small", "medium"])
def test_first_layers(channels, size, stride, name):
    """Taps of a kernel row lie side by side in the lanes, and rows too where that saves steps."""
    window = Window(kernel=(size, size), stride=(stride, stride), pad=(size // 2,) * 4)
    params = engine(name)
    made = network(weighted("conv", "image", channels, 5, window))
    compiled = check(made, image_of(9, 11, channels), params)
    if channels < params.lanes:
        for task in tasks_of(compiled, "conv"):
            assert task.steps[1] <= task.values["blocks"] * size * -(-size * channels // params.lanes)


@pytest.mark.parametrize(("name", "steps"), [("tiny", [3]), ("small", [2, 2]), ("medium", [1])])
def test_one_channel_of_three_rows(name, steps):
    """Steps of every kind of output row: four bytes hold a row of three taps, eight two rows, sixteen all nine taps."""
    compiled = check(network(weighted("conv", "image", 1, 4)), image_of(10, 9, 1), engine(name))
    assert [task.steps[0] for task in tasks_of(compiled, "conv")][: len(steps)] == steps


@pytest.mark.parametrize(("channels", "stride", "steps"), [(1, 1, 1), (3, 1, 2), (3, 2, 2), (6, 2, 4)])
def test_rows_that_several_output_rows_read(channels, stride, steps):
    """Taps of 3 x 3 one behind the other in sixteen lanes, rows of the image twice where the stride is less than 3."""
    window = Window(kernel=(3, 3), stride=(stride, stride), pad=(1, 1, 1, 1))
    for memory in (1 << 11, 1 << 19):
        params = engine("medium", memory=memory)
        compiled = check(network(weighted("conv", "image", channels, 20, window)), image_of(13, 11, channels), params)
        assert compiled.source.storage.overlap == 3 - stride
        for task in tasks_of(compiled, "conv"):
            assert task.steps[1] == task.values["blocks"] * steps


@pytest.mark.parametrize("name", ["small", "medium"])
@pytest.mark.parametrize("rows", [1, 9, 30])
def test_rows_side_by_side_with_residuals_and_bands(name, rows):
    layers = weighted("a", "image", 1, 20), weighted("b", "image", 1, 20, sources=("image", "a"), residual=U8)
    forms = Format(width=8, signed=False, fraction=3, zero=77)
    layers = tuple(replace(layer, x=forms) for layer in layers)
    for memory in (1 << 10, 1 << 17):
        compiled = check(network(*layers, form=forms), image_of(rows, 21, 1), engine(name, memory=memory))
        assert compiled.source.storage.interleave > 1


@pytest.mark.parametrize("kernel", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("multiplier", [1, 2])
def test_depthwise_layers(kernel, stride, dilation, multiplier):
    reach = (kernel - 1) * dilation // 2
    window = Window(kernel=(kernel,) * 2, stride=(stride,) * 2, pad=(reach,) * 4, dilation=(dilation,) * 2)
    layer = weighted("conv", "image", 9, 9 * multiplier, window, groups=9)
    next_layer = weighted("next", "conv", 9 * multiplier, 3, Window(kernel=(1, 1)))
    compiled = check(network(layer, next_layer), image_of(12, 14, 9), engine("small"))
    task = tasks_of(compiled, "conv")[0]
    assert task.values["depthwise"]
    if kernel == 3 and dilation == 1:  # one pass over a row for all its taps
        assert task.steps[0] == 3 * 2 * multiplier


def test_a_matrix_product_behind_a_map():
    layers = weighted("conv", "image", 3, 9), Flatten(name="flat", sources=("conv",), output=U8)
    check(network(*layers, weighted("dense", "flat", 4 * 5 * 9, 11, None)), image_of(4, 5, 3), engine("small"))


@pytest.mark.parametrize("features", [3, 8, 50])
def test_networks_of_features(features):
    layers = weighted("a", "image", features, 9, None), weighted("b", "a", 9, 3, None)
    check(network(*layers), image_of(features), engine("small"))


def test_a_product_at_every_position():
    check(network(weighted("dense", "image", 9, 4, None)), image_of(4, 5, 9), engine("small"))


@pytest.mark.parametrize("fraction", [3, 8, 12, 14])
def test_residuals_of_any_fraction(fraction):
    """Up to more fractional bits than the products have: weights then count more than eight bits."""
    fine, form = (Format(width=8, signed=signed, fraction=fraction) for signed in (False, True))
    first = weighted("conv", "image", 9, 9, output=fine, w=form, bias=np.zeros(9, int))
    coarse = Format(width=8, signed=True, fraction=8)
    second = weighted("sum", "image", 9, 9, residual=fine, sources=("image", "conv"), w=coarse, seed=6)
    check(network(first, second), image_of(6, 7, 9), engine("small"))


@pytest.mark.parametrize("size", [(2, 2), (7, 7), (12, 5)])
def test_means(size):
    layer = AveragePool(name="mean", sources=("image",), x=U8, output=S8, window=Window(kernel=size, stride=size),
                        w=Format(width=8, signed=True, fraction=12))  # fmt: skip
    check(network(layer), image_of(24, 14, 9), engine("small"))


def test_tensors_concatenated_twice_and_from_the_input():
    layers = (
        weighted("a", "image", 3, 5),
        Concat(name="one", sources=("a", "image"), inputs=(U8, U8), output=U8),
        Concat(name="two", sources=("a", "one", "a"), inputs=(U8, U8, U8), output=U8),
        weighted("b", "two", 18, 3),
    )
    compiled = check(network(*layers), image_of(5, 6, 3), engine("small"))
    assert len(tasks_of(compiled, "one")) == 1  # the image is copied, `a` is made in its place
    assert len(tasks_of(compiled, "two")) == 2  # `one` is made in its place


def test_tiles_cover_the_map():
    for rows, columns, depth, even in (
        (5, 7, 8, False),
        (100, 100, 512, False),
        (6, 1000, 64, False),
        (6, 10, 16, True),
    ):
        tiling = Tiling.of(rows, columns, depth, even=even)
        assert tiling.tile_w * tiling.tile_h <= depth
        assert (tiling.tiles_x - 1) * tiling.tile_w + tiling.last_w == columns
        assert (tiling.tiles_y - 1) * tiling.tile_h + tiling.last_h == rows
        assert 0 < tiling.last_w <= tiling.tile_w
        assert 0 < tiling.last_h <= tiling.tile_h
        assert not even or tiling.tile_w % 2 == tiling.tile_h % 2 == 0


def test_heavy_weights_are_read_once():
    """A map of one tile is cut into bands only where that saves more than reading all weights again costs."""
    names = {}
    for channels in (8, 64):
        made = network(weighted("conv", "image", channels, channels))
        compiled = check(made, image_of(8, 8, channels), engine("small"))
        names[channels] = [descriptor.opcode.name for descriptor in compiled.program.descriptors]
    assert names[64] == ["LOAD", "COMPUTE", "STORE", "END"]
    assert names[8].count("COMPUTE") == names[8].count("STORE") == 3


def test_a_large_image_is_loaded_beside_the_computing():
    compiled = compile_network(network(weighted("conv", "image", 3, 8)), (64, 64, 3), engine("small"))
    operations = "".join(task.opcode.name[0] for task in compiled.tasks)
    assert operations.startswith("LLCS")
    assert operations.index("S") < operations.rindex("L")


def test_streamed_results_begin_and_end_with_short_bands():
    """Nothing runs beside the first load and the last store; the bands between are high, for fewer computations."""
    made = network(weighted("conv", "image", 1, 32))
    compiled = compile_network(made, (96, 96, 1), engine("small"))
    stores = [task.values for task in compiled.tasks if task.opcode is Opcode.STORE]
    heights = [values["runs"] * values["run_bytes"] // (96 * 8) for values in stores]
    assert sum(heights) == 96
    assert max(heights) >= 8
    assert heights[0] == heights[-1] == 2


def test_streamed_maps_are_stored_beside_the_computing():
    """No computation but those at a layer's ends waits for the store of the results just before it."""
    made = network(weighted("a", "image", 16, 16), weighted("b", "a", 16, 16))
    compiled = check(made, image_of(40, 40, 16), engine("small", memory=8192), trace=False)
    queues = [
        [descriptor for descriptor in compiled.program.descriptors if UNIT.get(descriptor.opcode) == unit]
        for unit in range(3)
    ]
    clocks = unit_clocks(queues)[1]
    assert len(queues[1]) >= len(queues[2]) > 10
    assert sum(clock[2] >= number > 0 for number, clock in enumerate(clocks)) <= 3


def test_full_hd_fits_into_128_kib():
    """The first layers of a detector; no row is too long."""
    half = Window(kernel=(3, 3), stride=(2, 2), pad=(1, 1, 1, 1))
    layers = weighted("a", "image", 3, 16, half), weighted("b", "a", 16, 32, half)
    compiled = compile_network(network(*layers), (1080, 1920, 3), engine("small"))
    assert {storage.name for storage in compiled.plan.streamed} >= {"image", "a"}


EIGHT = (8, 8, 9)
REFUSED = {
    "conv: requantizes by fixed16": (weighted("conv", "image", 9, 4, requant=Scheme.FIXED16, b=Format(
        width=16, signed=True, fraction=0)), {}),
    "conv: rounds floor": (weighted("conv", "image", 9, 4, rounding=Rounding.FLOOR), {}),
    "conv: the engine keeps at most 8 bits": (weighted("conv", "image", 9, 4, output=Format(
        width=12, signed=True, fraction=3)), {}),
    "conv: a bias of": (weighted("conv", "image", 9, 4), {"bias_width": 8}),
    "conv: sums need": (weighted("conv", "image", 9, 4), {"reduction": 4, "bias_width": 18}),
    "conv: a kernel reaches": (weighted("conv", "image", 9, 4, Window(kernel=(2, 1), pad=(300, 0, 0, 0))), {}),
    "conv: expected 7 input channels": (weighted("conv", "image", 7, 4), {}),
    "conv: cannot be compiled": (weighted("conv", "image", 9, 4, Window(kernel=(9, 9))), {}),
    "up: the engine upsamples by products of 2 and 3": (Upsample(
        name="up", sources=("image",), factor=10, output=U8), {}),
    "mean: 225 areas of results with own weights, more than 200": (AveragePool(
        name="mean", sources=("image",), x=U8, output=U8, window=Window(kernel=(15, 15), pad=(14,) * 4),
        w=Format(width=12, signed=True, fraction=11), count_padding=False), {}),
    "conv: what it needs at once does not fit": (weighted("conv", "image", 9, 900), {"memory": 1024}),
}  # fmt: skip


@pytest.mark.parametrize("message", REFUSED)
def test_refused(message):
    layer, fields = REFUSED[message]
    with pytest.raises(InputError, match=f"^{message}"):
        compile_network(network(layer), EIGHT, engine("small", **fields))


def test_flattened_maps_are_not_concatenated():
    flat = Flatten(name="flat", sources=("image",), output=U8)
    joined = Concat(name="join", sources=("flat", "flat"), inputs=(U8, U8), output=U8)
    with pytest.raises(InputError, match=r"^join: the engine cannot concatenate flattened"):
        compile_network(network(flat, joined), EIGHT, engine("small"))


def test_leaks_need_shifts():
    fixed = {"requant": Scheme.FIXED16, "output": U8, "leak": 1, "total": total_format(U8, U8, U8, Scheme.FIXED16)}
    leaky = weighted("conv", "image", 9, 4, requant=Scheme.FIXED16, leak=2, b=Format(width=16, signed=True, fraction=0))
    for layer in (leaky, Add(name="sum", sources=("image", "image"), x=U8, y=U8, **fixed)):
        with pytest.raises(InputError, match=f"^{layer.name}: a .* needs an engine that shifts"):
            compile_network(network(layer), EIGHT, engine("small", scheme="fixed16"))


@pytest.mark.parametrize("shape", [(8, 8), (0, 8, 9), (8, 8, 9, 1)])
def test_bad_shapes(shape):
    with pytest.raises(InputError, match=r"^input shape: expected"):
        compile_network(network(weighted("conv", "image", 9, 4)), shape, engine("small"))


HEAD = HeadParams(columns=8, rows=8, stride=8, classes=10, threshold=0, shift=0, width=96, height=96)


@pytest.mark.parametrize(
    ("message", "changes", "fields"),
    [
        ("cls: the engine has no box unit", {}, {"nms": None}),
        ("cls: width: expected the box unit's 96, not 64", {"width": 64}, {}),
        ("cls: expected a layer's result of", {"classes": 11}, {}),
        ("cls: expected a layer's result of", {"rows": 7}, {}),
    ],
)
def test_heads_that_do_not_fit(message, changes, fields):
    layers = weighted("cls", "image", 9, 10, output=S8), weighted("box", "image", 9, 4)
    head = Head(cls="cls", box="box", params=replace(HEAD, **changes))
    with pytest.raises(InputError, match=f"^{message}"):
        compile_network(network(*layers), EIGHT, engine("small", **fields), heads=[head])


def test_streams_too_long_for_one_transfer_are_split(monkeypatch):
    monkeypatch.setattr("roundel.compiler.emit.STREAM_LIMIT", 2000)
    compiled = check(network(weighted("conv", "image", 9, 40)), image_of(6, 7, 9), engine("small"))
    parts = tasks_of(compiled, "conv")
    assert len(parts) > 1
    assert all(max(task.values["weights_bytes"], task.values["parameters_bytes"]) <= 2000 for task in parts)
    monkeypatch.setattr("roundel.compiler.emit.STREAM_LIMIT", 500)
    with pytest.raises(InputError, match=r"^conv: an output block's weights take"):
        compile_network(network(weighted("conv", "image", 9, 40)), (6, 7, 9), engine("small"))

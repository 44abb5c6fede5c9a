"""Figures of `roundel bench` from runs that are made up: every value is computed here again, by hand."""

from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest

from roundel.benchmarks import codec, decoder, engine, nms, search
from roundel.benchmarks import run as bench
from roundel.benchmarks.array import clock
from roundel.benchmarks.exact_nms import ExactRate, TopKRate
from roundel.benchmarks.show import figure, tables
from roundel.evaluation import laplace_weights
from roundel.golden.codec import CodecParams, DecoderParams, Packing, decode_codes, encode, rounds
from roundel.golden.mac import MacParams
from roundel.golden.nms import Detections, greedy_nms
from roundel.golden.opq import laplace_levels
from roundel.golden.requant import RequantParams
from roundel.graph import Affine, Conv
from roundel.ui import row, seconds


def values(rows: list) -> dict[str, float]:
    assert len({item["name"] for item in rows}) == len(rows)
    return {item["name"]: item["value"] for item in rows}


def test_the_fastest_of_five_calls():
    now = iter([0, 5, 10, 12, 20, 29, 30, 33, 40, 44, 0, 7, 10, 18])
    calls = []
    assert seconds(lambda: calls.append(1), clock=lambda: next(now)) == 2
    assert len(calls) == 5
    assert seconds(lambda: calls.append(1), 2, lambda: next(now)) == 7


RESULTS = """<testsuites><testsuite>
  <testcase time="1.5"><properties><property name="sim_time_duration" value="1200.0"/><property name="x" value="9"/>
  </properties></testcase>
  <testcase time="0.25"><properties><property name="sim_time_duration" value="304.0"/></properties></testcase>
</testsuite></testsuites>"""


def test_clock_cycles_of_all_tests_of_a_bench(tmp_path):
    """10 ns a cycle."""
    (tmp_path / "results.xml").write_text(RESULTS)
    assert clock(tmp_path) == (150, 1.75)


def test_rates_of_suppression(monkeypatch):
    """61 boxes an image: the third image ends 140 cycles behind the first."""
    asked = []

    def run_images(unit, params, images, *, seed):
        asked.append((unit.name, params.lanes, len(images), seed))
        if unit.name == "greedy_nms":
            return {"kept": list(range(12)), "cycles": 610}
        count = 10 * len(images)
        first = 100 if len(images) > 1 else 95
        arrivals = first + 7 * np.arange(count)
        return {"kept": list(range(count)), "cycles": 200, "arrivals": arrivals, "ends": np.arange(10, count + 1, 10)}

    monkeypatch.setattr(nms, "run_images", run_images)
    monkeypatch.setattr(nms, "BOXES", 61)
    monkeypatch.setattr(nms, "IMAGES", 3)
    rows = nms.NmsRate("guarded parallel", 2).rows(4)
    steady = 2 * 61 / 140
    assert values(rows) == {
        "nms.boxes_per_cycle": pytest.approx(steady),
        "nms.cycles_per_image": pytest.approx(70),
        "nms.kept": 10,
        "nms.first_kept_after": 95 - 31,  # the last beat of two boxes is the 31st
        "greedy_nms.cycles_per_image": 610,
        "greedy_nms.kept": 12,
        "nms.speedup_over_greedy": pytest.approx(610 / 70),
        "nms.speedup_over_greedy_one_image": pytest.approx(3.05),
    }
    assert asked == [("nms", 2, 3, 4), ("nms", 2, 1, 4), ("greedy_nms", 2, 1, 4)]
    assert rows[0]["params"] == {"scheme": "guarded parallel", "lanes": 2, "boxes": 61, "images": 3, "seed": 4}
    assert len(nms.NmsRate("guarded cascade", 1).rows(4)) == 4


def test_images_of_very_different_sizes(monkeypatch):
    seen = {}

    def run_images(unit, params, images, *, seed):
        seen.update(sizes=[len(image) for image in images], params=params)
        return {"cycles": 400}

    monkeypatch.setattr(nms, "run_images", run_images)
    (item,) = nms.Classes(4).rows(1)
    sizes = seen["sizes"]
    assert (len(sizes), seen["params"].banks, seen["params"].capacity) == (80, 4, 256)
    assert (min(sizes) >= 1, max(sizes) <= 256) == (True, True)
    assert np.mean(sizes) == pytest.approx(20, rel=0.25)
    assert item["value"] == sum(sizes) / 400
    assert item["params"] == {"scheme": "guarded parallel", "banks": 4, "classes": 80, "boxes": sum(sizes), "seed": 1}


def test_times_of_software(monkeypatch):
    """Greedy takes 40 ms in NumPy and 2 ms compiled; 1,000 boxes are 10 us of hardware at 100 MHz."""
    times = iter([0.001, 0.002, 0.004, 0.005, 0.040, 0.002])
    thresholds = []

    def timed(call):
        call()
        return next(times)

    monkeypatch.setattr(nms, "seconds", timed)
    monkeypatch.setattr(nms, "greedy_nms", lambda _, threshold: thresholds.append(threshold))
    monkeypatch.setattr(nms, "_compiled", lambda _, threshold: lambda: thresholds.append(threshold))
    rows = nms.Software(1000).rows(1)
    schemes = ("psrr parallel", "psrr cascade", "guarded parallel", "guarded cascade")
    wanted = {("software.greedy_numpy", None): 40_000, ("software.greedy_compiled", None): 2000}
    for scheme, time in zip(schemes, (1, 2, 4, 5), strict=True):
        wanted["software.psrr_numpy", scheme] = 1000 * time
        wanted["software.psrr_numpy_over_greedy_numpy", scheme] = 40 / time
        wanted["software.psrr_numpy_over_greedy_compiled", scheme] = 2 / time
    wanted |= {("nms.over_greedy_numpy", None): 4000, ("nms.over_greedy_compiled", None): 200}
    assert {(item["name"], item["params"].get("scheme")): item["value"] for item in rows} == pytest.approx(wanted)
    assert thresholds == [0.5, 0.5]
    assert {item["params"].get("clock_mhz") for item in rows} == {None, 100}


def test_compiled_suppression_is_the_same_on_one_thread(monkeypatch, seed):
    onnxruntime = pytest.importorskip("onnxruntime")
    given = nms.image(seed, 300)
    detections = Detections(boxes=given.boxes.astype(float), scores=given.scores + np.arange(300) / 1000)
    kept = nms._compiled(detections, 0.5)()[0]
    assert sorted(kept[:, 2].tolist()) == sorted(greedy_nms(detections, 0.5).tolist())
    threads = []

    class Session(onnxruntime.InferenceSession):
        def __init__(self, model, options, **settings):
            threads.append(options.intra_op_num_threads)
            super().__init__(model, options, **settings)

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    nms._compiled(detections, 0.5)
    assert threads == [1]


def test_what_is_measured_of_suppression():
    rates = [(item.scheme, item.lanes) for item in nms.variants() if isinstance(item, nms.NmsRate)]
    parallel = {(f"{method} parallel", lanes) for method in ("psrr", "guarded") for lanes in (1, 2, 4)}
    assert set(rates) == parallel | {("psrr cascade", 1), ("guarded cascade", 1)}
    assert len(rates) == 8
    exact = [item for item in nms.variants() if isinstance(item, ExactRate)]
    assert {(item.score_width, item.comparators) for item in exact} == {(8, 4), (16, 4), (16, 8)}
    assert len({item.stimulus for item in exact}) == 8  # three kinds of scenes and five other images
    assert {(item.classes, item.max_detections) for item in exact} == {(3, None), (80, None), (80, 20)}
    assert len(set(exact)) == len(exact) == 3 * 8 + 2
    topk = [(item.stimulus, item.score_width) for item in nms.variants() if isinstance(item, TopKRate)]
    assert len(set(topk)) == len(topk) == 8  # images that fit, and floods in three orders
    others = nms.variants()[len(rates) + len(exact) + len(topk) :]
    assert [getattr(item, "banks", getattr(item, "boxes", None)) for item in others] == [2, 4, 1000, 5000, None]


def entropy(density: float, rho: float, most: int) -> float:
    """Bits of a weight: whether it is zero, its sign, and a geometric magnitude that is cut to `most`."""
    parts = np.array([*((1 - rho) * rho ** np.arange(most - 1)), rho ** (most - 1)])
    magnitude = -(parts * np.log2(parts)).sum()
    zero = -(density * np.log2(density) + (1 - density) * np.log2(1 - density))
    return zero + density * (1 + magnitude)


@pytest.mark.parametrize("packing", Packing)
def test_sizes_of_streams(packing, monkeypatch):
    monkeypatch.setattr(codec, "SIZED", 3000)
    item = codec.Format(packing, 0.2)
    rows = item.sizes(3)
    params = CodecParams(packing=packing, **({"slices": 4} if packing is Packing.RICE else {}))
    weights = laplace_levels(np.random.default_rng(3), 3000, density=0.2, rho=0.7)
    stream = encode(weights, params)
    found = values(rows)
    bits = 8 * len(stream) / 3000
    assert found["codec.bits_per_weight"] == bits
    assert found["codec.over_floor"] == pytest.approx(100 * (bits / entropy(0.2, 0.7, 7) - 1))
    assert codec.over_floor(params, 0.2, 0.7) == pytest.approx(
        100 * (8 * len(encode(laplace_levels(np.random.default_rng(1), 3000, density=0.2, rho=0.7), params)) / 3000
        / entropy(0.2, 0.7, 7) - 1)
    )  # fmt: skip
    assert rows[0]["params"] == {
        **{"format": packing.value, "zeros": 0.8, "weights": 3000, "seed": 3},
        **{"width": params.width, "lanes": params.lanes, "slices": params.slices},
    }
    if packing is Packing.RICE:
        fitted, codes = decode_codes(stream)
        parts = [codes[at : at + fitted.segment] for at in range(0, 3000, fitted.segment)]
        needed = sum(max(int(count), 1) for part in parts for count in rounds(part, fitted))
        assert found["codec.weights_per_round"] == 3000 / needed
    else:
        assert len(found) == 2


def test_speeds_of_codecs_are_those_of_one_core(monkeypatch):
    clocks = []

    def timed(call, repeats, clock):
        clocks.append((repeats, clock.__name__))
        call()
        return 2.0 * len(clocks)

    monkeypatch.setattr(codec, "seconds", timed)
    monkeypatch.setattr(codec, "TIMED", 400)
    rows = codec.Format(Packing.MASK, 0.5).speeds(1)
    assert values(rows) == {"codec.encode_speed": 200, "codec.decode_speed": 100}
    assert rows[0]["params"]["weights"] == 400
    assert clocks == [(3, "process_time")] * 2
    assert len(codec.variants()) == 3 * 4


def test_tables_of_the_codecs_page(monkeypatch, capsys):
    monkeypatch.setattr(codec, "SIZED", 1000)
    codec.main()
    first, second = capsys.readouterr().out.strip().split("\n\n")
    lines = [line.split(" | ") for line in first.splitlines()]
    assert lines[0][0] == "| zeros"
    assert [line[0] for line in lines[2:]] == [f"| {part}%" for part in (50, 80, 90, 95) for _ in range(3)]
    assert [line[2] for line in lines[2:]] == ["mask", "relative", "rice"] * 4
    for line in lines[2:]:
        floor, bits, over = float(line[1]), float(line[3]), float(line[4].removesuffix(" %"))
        assert floor == pytest.approx(entropy(1 - int(line[0].strip("| %")) / 100, 0.7, 7), abs=6e-4)
        assert over == pytest.approx(100 * (bits / floor - 1), abs=0.3)
        assert (line[5].strip(" |") != "") == (line[2] == "rice")
    lines = second.splitlines()
    assert lines[0] == "| rho | codebook | 50% zeros | 80% zeros | 90% zeros | 95% zeros |"
    assert lines[1] == "|---|---|---|---|---|---|"
    assert [line.split(" | ")[0].strip("| ") for line in lines[2:]] == [
        rho for rho in ("0.2", "0.3", "0.5", "0.7", "0.8", "0.9") for _ in range(2)
    ]
    assert [line.split(" | ")[1] for line in lines[2:]] == ["none", "table"] * 6
    assert codec.TABLE == (0, -1, 1, -2, 2, -3, 3, -4, 4, -5, 5, -6, 6, -7, 7)


def test_rates_of_a_decoder(monkeypatch):
    """800 weights on 8 lanes are 100 beats: of the second time 99 come in 150 cycles, and 200 lie between two ends."""
    monkeypatch.setattr(decoder, "WEIGHTS", 800)
    monkeypatch.setattr(decoder, "_beats", lambda *_: ([10, 200], [150, 350]))
    params = DecoderParams(packing="mask", lanes=8, width=4)
    rows = decoder.DecoderRate(params, 0.5).rows(7)
    nonzero = np.count_nonzero(laplace_weights(800, 0.5, 4, seed=7))
    assert values(rows) == {
        "decoder.weights_per_cycle": pytest.approx(99 * 8 / 150),
        "decoder.nonzero_per_cycle": pytest.approx(nonzero / 200),
        "decoder.cycles_between_streams": 49,
    }
    wanted = {"scheme": "mask, 8 lanes", "bus": params.bus, "zeros": 0.5, "weights": 800, "seed": 7}
    assert rows[0]["params"] == wanted


def test_beats_of_a_stream_that_is_sent_twice(monkeypatch, tmp_path):
    @contextmanager
    def proven(design, what, **settings):
        settings["stimulus"](tmp_path / "stimulus.npz")
        with np.load(tmp_path / "stimulus.npz") as file:
            assert len(file["ends"]) == 2
        np.savez(tmp_path / "decoded.npz", arrivals=np.array([3, 4, 9, 20, 22, 27]))
        yield None, tmp_path

    monkeypatch.setattr(decoder, "proven", proven)
    stimulus = decoder.WeightStreams(source="", streams=(b"abc",))
    assert decoder._beats(DecoderParams(packing="mask", lanes=8, width=4), stimulus) == ([3, 20], [9, 27])
    assert len(decoder.variants()) == 5 * 5


def frame(cycles: int, waiting: int) -> SimpleNamespace:
    return SimpleNamespace(registers={"cycles": cycles, "waiting_weights": waiting})


@pytest.fixture
def layer_run(monkeypatch):
    """A run of 1,000 cycles in 4 seconds, 250 of which waited for weights; the first layer took 800."""
    checked = []
    monkeypatch.setattr(engine, "_run", lambda compiled, image: (frame(1000, 250), 4.0))
    monkeypatch.setattr(engine, "_check", lambda *given: checked.append(given))
    monkeypatch.setattr(
        engine,
        "layer_cycles",
        lambda *_: [SimpleNamespace(macs=6400, cycles=800), SimpleNamespace(macs=1, cycles=1)],
    )
    return checked


def test_figures_of_a_layer(layer_run):
    rows = engine.LayerOnRtl(config="tiny", side=8, channels=8, filters=8, speed=True).rows(3)
    assert values(rows) == {
        "engine.utilization": 6400 / 16 / 1000,
        "engine.cycles": 1000,
        "engine.weight_stalls": 0.25,
        "engine.simulation_speed": 250,
    }
    about = {"config": "tiny", "on": "rtl", "layer": "3x3, 8x8, 8 to 8 channels", "seed": 3}
    assert all(item["params"] == about for item in rows)
    ((network, _, image, _),) = layer_run
    assert (len(network.layers), image.shape, image.min(), image.max()) == (1, (1, 8, 8, 8), 0, 255)


def test_figures_of_a_layer_whose_results_stay_on_chip(layer_run):
    rows = engine.LayerOnRtl(config="tiny", side=8, channels=8, filters=4, stays=True).rows(3)
    assert values(rows) == {"engine.utilization": 6400 / 16 / 800, "engine.cycles": 800}
    assert rows[0]["params"]["layer"] == "3x3, 8x8, 8 to 4 channels, results stay on chip"
    _, second = layer_run[0][0].layers
    assert (second.window.stride, second.window.kernel) == ((2, 2), (3, 3))


def test_figures_of_a_sparse_layer(layer_run):
    rows = engine.LayerOnRtl(config="tiny", side=8, channels=8, filters=8, zeros=0.8).rows(3)
    assert [item["name"] for item in rows] == ["engine.utilization", "engine.cycles", "engine.weight_stalls"]
    assert (rows[0]["params"]["zeros"], rows[0]["params"]["weight_width"]) == (0.8, 4)
    network, compiled, *_ = layer_run[0]
    (layer,) = network.layers
    assert np.mean(layer.weights == 0) == pytest.approx(0.8, abs=0.06)
    assert (layer.w.width, compiled.params.weight_width, np.abs(layer.weights).max()) == (4, 4, 7)


def test_a_layer_is_timed_in_its_second_run(monkeypatch):
    runs, now = [], iter([10.0, 12.5])
    monkeypatch.setattr(engine, "run_frames", lambda *_: runs.append(len(runs)) or [f"frame {len(runs)}"])
    monkeypatch.setattr(engine, "perf_counter", lambda: next(now))
    assert engine._run(None, None) == ("frame 2", 2.5)


def test_what_is_measured_of_the_engine():
    found = engine.variants()
    layers = [item for item in found if isinstance(item, engine.LayerOnRtl)]
    assert [(item.config, item.side, item.channels, item.filters) for item in layers] == [
        *(("medium", 56, 64, 64), ("small", 96, 1, 32), ("small", 96, 1, 8)),
        *(("tiny", 8, 8, 8), ("small", 8, 8, 8), ("small", 28, 64, 64)),
        *(("medium", 56, 64, 64), ("medium", 56, 64, 64)),
    ]
    assert [item.zeros for item in layers] == [None] * 5 + [0.8] + [None] * 2
    assert [item.stays for item in layers] == [False, False, True] + [False] * 5
    assert [item.speed for item in layers] == [True] + [False] * 7
    assert [(item.array_bits, item.weight_bits) for item in layers] == [(8, 8)] * 6 + [(4, 4), (4, 8)]
    assert [item.zeros for item in found if isinstance(item, engine.ZeroBlocks)] == [0.8, 0.9, 0.95]
    assert [item.network for item in found if isinstance(item, engine.NetworkModel)] == list(engine.NETWORKS)


def test_figures_of_the_array(monkeypatch):
    """3 x 3 over a map of 4 x 4, 8 to 8 channels: 4 x 4 x 72 x 8 products."""
    for name, value in (("MAP", 4), ("CHANNELS", 8), ("OUTPUTS", 8)):
        monkeypatch.setattr(bench, name, value)
    given = []

    def simulate(array, beats):
        given.append((array.params, beats))
        return SimpleNamespace(faults=(), cycles=640, speed=123.0)

    monkeypatch.setattr(bench, "simulate", simulate)
    monkeypatch.setattr(bench, "generate_array", lambda name, params: SimpleNamespace(params=params))
    monkeypatch.setattr(bench, "seconds", lambda call: 0.5 if call() is not None else 0)
    params = MacParams(lanes=4, columns=4, depth=8, reduction=72)
    rows = bench._mac(params, 5)
    beats = 16 * (72 // 4) * (8 // 4)
    assert values(rows) == {
        "mac.beats_per_cycle": beats / 640,
        "mac.macs_per_cycle": 9216 / 640,
        "mac.simulation_speed": 123,
        "mac.golden_speed": 9216 / 0.5,
    }
    assert rows[0]["params"] == {
        "lanes": 4,
        "columns": 4,
        "layer": "3x3 convolution, 8 to 8 channels, 4x4 output",
        "seed": 5,
    }
    (_, schedule) = given[0]
    activations, weights = schedule.activations, schedule.weights
    assert (activations.min() >= 0, activations.max(), weights.min(), weights.max()) == (True, 255, -128, 127)
    # A corner of the map has four of nine taps outside: 5 of every 9 sums of channels are zero there.
    assert 0.1 < np.mean(activations == 0) < 0.35


def test_figures_of_a_requantizer(monkeypatch):
    seen = {}

    def run(design, name, *, seed, config, folder):
        seen.update(config, seed=seed, bench=name)
        return SimpleNamespace(passed=True)

    monkeypatch.setattr(bench, "RESULTS", 300)
    monkeypatch.setattr(bench, "run", run)
    monkeypatch.setattr(bench, "clock", lambda _: (400, 8.0))
    monkeypatch.setattr(bench, "seconds", lambda call: 1.5 if len(call()) == 300 else 0)
    rows = bench._requant(RequantParams(), 9)
    assert values(rows) == {
        "requant.results_per_cycle": 0.75,
        "requant.simulation_speed": 50,
        "requant.golden_speed": 200,
    }
    assert (seen["beats"], seen["seed"], seen["bench"]) == (300, 9, "roundel.sim.benches.tb_requant")
    assert (rows[0]["params"]["results"], rows[0]["params"]["seed"], rows[0]["params"]["scheme"]) == (300, 9, "shift")


# Size, channels, kernel and stride of all convolutions of ResNet-18 (He et al., 2016, table 1), projections included.
RESNET18 = [
    (112, 3, 64, 7, 2),
    *[(56, 64, 64, 3, 1)] * 4,
    *[(28, 64, 128, 3, 2), (28, 128, 128, 3, 1), (28, 64, 128, 1, 2), *[(28, 128, 128, 3, 1)] * 2],
    *[(14, 128, 256, 3, 2), (14, 256, 256, 3, 1), (14, 128, 256, 1, 2), *[(14, 256, 256, 3, 1)] * 2],
    *[(7, 256, 512, 3, 2), (7, 512, 512, 3, 1), (7, 256, 512, 1, 2), *[(7, 512, 512, 3, 1)] * 2],
]


def test_the_network_of_the_search():
    graph = search.resnet18(2)
    found = []
    for node in graph.nodes:
        if isinstance(node, Conv):
            outputs, rows, columns = graph.shapes[node.output]
            inputs = graph.shapes[node.inputs[0]][0]
            kernel, stride = node.window.kernel[0], node.window.stride[0]
            assert (rows, node.window.kernel, node.window.stride) == (columns, (kernel,) * 2, (stride,) * 2)
            assert node.window.pad == (kernel // 2,) * 4
            found.append((rows, inputs, outputs, kernel, stride))
            assert node.weights.std() == pytest.approx(np.sqrt(2 / (inputs * kernel**2)), rel=0.05)
            assert not node.bias.any()
        if isinstance(node, Affine):
            assert node.scale.mean() == pytest.approx(0.7, abs=0.06)
            assert node.scale.std() == pytest.approx(0.1, abs=0.05)
            assert node.offset.mean() == pytest.approx(0, abs=0.06)
    assert found == RESNET18
    dense = graph.nodes[-1]
    assert (dense.weights.shape, dense.bias.shape, dense.bias.any()) == ((512, 1000), (1000,), False)
    assert dense.weights.std() == pytest.approx(512**-0.5, rel=0.01)
    assert graph.shape == (3, 224, 224)
    assert not np.array_equal(dense.weights, search.resnet18(3, 32).nodes[-1].weights)


def test_images_of_the_search_are_smooth():
    images = search.smooth_images(1, 2, 32)
    assert images.shape == (2, 3, 32, 32)
    assert np.array_equal(images, images[:, :, ::8, ::8].repeat(8, 2).repeat(8, 3))
    assert len(np.unique(images)) == 2 * 3 * 16
    assert search.smooth_images(1, 1).shape == (1, 3, 224, 224)


def test_cases_of_the_search():
    assert [(case.per_channel, case.size, case.images, case.shifts) for case in search.variants()] == [
        (False, 224, 32, "per layer"),
        (True, 224, 32, "per channel"),
    ]
    usage = search.resource.getrusage(search.resource.RUSAGE_SELF).ru_maxrss
    assert search._peak_memory() == pytest.approx(usage * 1024 / 2**30, rel=0.05)


def test_tables_for_a_terminal():
    """Below 1,000 with four decimals; in pivots below 10 with three; speeds of codecs in millions."""
    assert [figure(row("a", value, "", {})) for value in (0.5, 999.99, 1000, 12345.6)] == [
        *("0.5000", "999.9900", "1,000", "12,346"),
    ]
    about = {"format": "mask", "width": 4}
    rows = [
        row("mac.macs_per_cycle", 2, "MAC/cycle", {"scheme": "s", "banks": 3}),
        row("nms.boxes_per_cycle_by_class", 1234.5, "boxes/cycle", {"boxes": 4000}),
        row("codec.encode_speed", 2.5e6, "weights/s", about | {"zeros": 0.9}),
        row("codec.encode_speed", 3e6, "weights/s", about | {"zeros": 0.5}),
        row("codec.bits_per_weight", 1.23456, "bit", about | {"zeros": 0.9}),
        *(
            row(name, value, "", {"scheme": "p", "lanes": 2, "images": 6, "boxes": 1000})
            for name, value in (("nms.boxes_per_cycle", 1.9996), ("nms.kept", 10), ("nms.cycles_per_image", 500.5))
        ),
        row("engine.cycles", 9.9994, "cycles", {"config": "tiny", "on": "rtl", "layer": "a", "network": "n"}),
        row("search.seconds", 12.5, "s", {"shifts": "per layer", "network": "resnet18", "images": 32}),
    ]
    assert tables(rows) == [
        (
            "Speed",
            ["what", "value", "unit"],
            [
                ["mac.macs_per_cycle s 3 banks", "2.0000", "MAC/cycle"],
                ["nms.boxes_per_cycle_by_class 4,000 boxes", "1,234", "boxes/cycle"],
            ],
        ),
        (
            "Suppression, images of 1,000 boxes",
            [
                *("scheme", "lanes", "boxes per cycle", "first kept after", "kept", "greedy cycles"),
                *("speed-up", "speed-up, one image"),
            ],
            [["p", "2", "2.000", "", "10", "", "", ""]],
        ),
        (
            "Joint search of resnet18, 32 images",
            ["shifts", "seconds", "peak memory, GiB", "SQNR, dB", "quantizations", "as modules"],
            [["per layer", "12", "", "", "", ""]],
        ),
        (
            "Engine",
            ["config", "what", "on", "utilization", "cycles", "waiting for weights", "cycles/s simulated"],
            [["tiny", "n, a", "rtl", "", "9.999", "", ""]],
        ),
        ("Bits per weight, by zeros", ["format", "90%"], [["mask", "1.235"]]),
        ("Encoding, million weights per second, by zeros", ["format", "50%", "90%"], [["mask", "3", "2.5"]]),
    ]

"""The public API: complete, lazy, documented, and with examples that run."""

import doctest
import importlib
import inspect
import subprocess
import sys

import numpy as np
import onnx
import pytest

import roundel
from roundel.data import DETECTOR, DIGITS

FUNCTIONS = sorted(name for name in roundel.__all__ if inspect.isfunction(getattr(roundel, name)))
RESULTS = [name for name in roundel.__all__ if hasattr(getattr(roundel, name), "save")]
CALIBRATION, HELD_OUT = DIGITS / "calibration.npz", DIGITS / "heldout.npz"


@pytest.fixture(scope="module")
def small():
    return roundel.compress(DIGITS / "digits_sparse.onnx", CALIBRATION, held_out=HELD_OUT)


def test_import_loads_no_room():
    code = "import sys, roundel; print(*[name for name in sys.modules if name.startswith('roundel.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_all_names_are_there():
    assert set(roundel.__all__) <= set(dir(roundel))
    for name in roundel.__all__:
        assert getattr(roundel, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        roundel.nothing  # noqa: B018


def test_type_checkers_see_the_same_names():
    """What stands under TYPE_CHECKING is what `__getattr__` finds."""
    source = inspect.getsource(roundel)
    declared = {line.split(" as ")[1] for line in source.splitlines() if line.startswith("    from roundel.")}
    assert declared == set(roundel.__all__) - {"__version__"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_examples(name):
    """Those of docstrings, but for the ones that take minutes."""
    function = getattr(roundel, name)
    module = importlib.import_module(function.__module__)
    [example] = doctest.DocTestFinder(recurse=False).find(function, name, module=module)
    if name in {"run_demo", "compare", "bench", "advise"}:
        assert not example.examples
        return
    assert example.examples
    assert doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example).failed == 0


def test_a_network_from_a_path_bytes_and_a_model():
    path = DIGITS / "digits.onnx"
    graphs = [roundel.read_onnx(model) for model in (path, str(path), path.read_bytes(), onnx.load(path))]
    with np.load(HELD_OUT) as held_out:
        images = held_out["images"][:3]
    results = [graph.run(images) for graph in graphs]
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])
    with pytest.raises(roundel.InputError, match="model: not a valid ONNX model"):
        roundel.read_onnx(b"no network")


def test_compress_takes_arrays_and_graphs(small):
    with np.load(CALIBRATION) as calibration:
        again = roundel.compress(roundel.read_onnx(DIGITS / "digits_sparse.onnx"), calibration["images"])
    assert again.streams == small.streams
    assert small.report["accuracy"]["images"] == 400


def test_a_compressed_network_saved_and_loaded(small, tmp_path):
    small.save(tmp_path / "out")
    loaded = roundel.CompressedNetwork.load(tmp_path / "out")
    assert (loaded.streams, loaded.report, loaded.results) == (small.streams, small.report, small.results)
    loaded.save(tmp_path / "again")
    files = [file.relative_to(tmp_path / "out") for file in (tmp_path / "out").rglob("*") if file.is_file()]
    assert {"network.npz", "report.md", "report.json"} <= {str(file) for file in files}
    for file in files:
        assert (tmp_path / "out" / file).read_bytes() == (tmp_path / "again" / file).read_bytes(), file


def test_a_program_saved_and_loaded(small, tmp_path):
    program = roundel.compile(small, "tiny", trace=True)
    program.save(tmp_path / "program")
    loaded = roundel.EngineProgram.load(tmp_path / "program")
    assert (loaded.compiled.image, loaded.params, loaded.trace) == (program.compiled.image, program.params, True)
    (tmp_path / "program" / "program.bin").write_bytes(program.compiled.image[:-1] + b"\x01")
    with pytest.raises(roundel.InputError, match=r"program\.bin: is not what .* compiles to"):
        roundel.EngineProgram.load(tmp_path / "program")


def test_a_program_keeps_its_detector(tmp_path):
    network = roundel.compress(DETECTOR / "detector.onnx", DETECTOR / "calibration.npz")
    program = roundel.compile(network, head=DETECTOR / "detector.toml")
    program.save(tmp_path)
    loaded = roundel.EngineProgram.load(tmp_path)
    assert loaded.detector == program.detector
    images = DETECTOR / "heldout.npz"
    runs = [roundel.run(what, images, count=2) for what in (loaded, tmp_path)]
    runs.append(roundel.run(network, images, count=2, head=DETECTOR / "detector.toml"))
    for run in runs:
        assert run.boxes is not None
        assert len(run.boxes["scores"]) > 0
        for name, values in run.boxes.items():
            np.testing.assert_array_equal(values, runs[0].boxes[name])


def test_a_run_saved_and_loaded(small, tmp_path):
    run = roundel.run(small, HELD_OUT, count=4)
    run.save(tmp_path)
    loaded = roundel.Run.load(tmp_path)
    assert loaded.figures == run.figures
    np.testing.assert_array_equal(loaded.integers["scores"], run.integers["scores"])
    np.testing.assert_array_equal(loaded.real["scores"], run.real["scores"])
    assert run.differences == []


def test_suppress_takes_arrays_and_files(tmp_path):
    rng = np.random.default_rng(1)
    corners = rng.uniform(0, 500, (60, 2))
    boxes = np.hstack([corners, corners + rng.uniform(10, 100, (60, 2))])
    arrays = {"boxes": boxes, "scores": rng.uniform(size=60), "classes": rng.integers(0, 3, 60)}
    np.savez(tmp_path / "boxes.npz", **arrays)
    for method in ("guarded", "greedy"):
        direct = roundel.suppress(**arrays, method=method)
        assert direct.kept.tolist() == roundel.suppress(tmp_path / "boxes.npz", method=method).kept.tolist()
    direct.save(tmp_path / "out")
    with np.load(tmp_path / "out" / "kept.npz") as kept:
        np.testing.assert_array_equal(kept["boxes"], boxes[direct.kept])
    with pytest.raises(roundel.InputError, match="not both"):
        roundel.suppress(tmp_path / "boxes.npz", arrays["scores"])
    with pytest.raises(roundel.InputError, match="on must be one of float, golden, rtl, not 'paper'"):
        roundel.suppress(**arrays, on="paper")


def test_generate_takes_objects_and_keywords(tmp_path):
    params = roundel.EngineParams.named("tiny")
    by_object = roundel.generate("engine", params)
    by_name = roundel.generate("engine", config="tiny", folder=tmp_path)
    assert by_object.verilog == by_name.verilog == roundel.Generated.load(tmp_path).verilog
    assert by_name.manifest == roundel.Generated.load(tmp_path).manifest
    with pytest.raises(roundel.InputError, match="expected parameters of its own class, not EngineParams"):
        roundel.generate("mac", params)
    with pytest.raises(roundel.InputError, match="expected a configuration or a parameter object, not both"):
        roundel.generate("engine", params, config="small")


def test_engines_by_name():
    assert roundel.EngineParams.named("small") == roundel.EngineParams(**roundel.EngineParams.named("small").as_dict())
    with pytest.raises(ValueError, match="config must be one of tiny, small, medium, large, not 'huge'"):
        roundel.EngineParams.named("huge")


def test_what_functions_return_is_public():
    returned = {inspect.signature(getattr(roundel, name)).return_annotation for name in FUNCTIONS}
    named = {kind if isinstance(kind, str) else kind.__name__ for kind in returned}
    assert set(RESULTS) == named - {"Graph", "list"}


@pytest.mark.parametrize("name", RESULTS)
def test_results_have_one_face(name):
    for method in ("as_dict", "tables", "lines", "write", "save"):
        assert callable(getattr(getattr(roundel, name), method))


def test_commands_call_the_api_and_little_else():
    """A command imports the front door, options, what shows a result, and names to choose from."""
    from roundel.cli.main import COMMANDS

    allowed = ("roundel.cli.", "roundel.golden.", "roundel.ui", "roundel.generator", "roundel.data")
    named = {"roundel.demo": {"DemoOptions", "cells_named"}}
    named["roundel.detection"] = {"PICTURES", "parse_image"}
    for command in COMMANDS:
        source = inspect.getsource(importlib.import_module(f"roundel.cli.{command}_command"))
        assert command == "units" or "import roundel\n" in source, command
        for line in source.splitlines():
            words = line.split()
            if words[:1] == ["from"] and words[1].startswith("roundel") and not words[1].startswith(allowed):
                assert {word.strip(",") for word in words[3:]} <= named[words[1]], line


def test_saving_again_leaves_nothing_of_an_earlier_result(small, tmp_path):
    """What a kind of result may leave out is gone: it would be read as a part of the new result."""
    detector = roundel.compress(DETECTOR / "detector.onnx", DETECTOR / "calibration.npz", bits=4)
    assert detector.onnx is not None
    detector.save(tmp_path / "network")
    small.save(tmp_path / "network")
    assert roundel.CompressedNetwork.load(tmp_path / "network").onnx is None
    with_boxes = roundel.compile(detector, head=DETECTOR / "detector.toml")
    with_boxes.save(tmp_path / "program")
    (tmp_path / "program" / "notes.txt").write_text("mine")
    roundel.compile(detector).save(tmp_path / "program")
    assert roundel.EngineProgram.load(tmp_path / "program").detector is None
    assert (tmp_path / "program" / "notes.txt").read_text() == "mine"
    roundel.run(with_boxes, DETECTOR / "heldout.npz", count=1).save(tmp_path / "run")
    assert roundel.Run.load(tmp_path / "run").boxes is not None
    roundel.run(small, HELD_OUT, count=1).save(tmp_path / "run")
    assert roundel.Run.load(tmp_path / "run").boxes is None


def test_what_units_are_described_by_is_a_copy():
    described = roundel.describe_units()
    for unit in described:
        for values in [*unit["configs"].values(), *unit["presets"].values()]:
            for value in filter(lambda value: isinstance(value, dict), values.values()):
                value.clear()
            values.clear()
    assert roundel.describe_units() != described
    assert roundel.EngineParams.named("tiny").nms.capacity == 256


def test_a_damaged_unit_or_report_is_refused(small, tmp_path):
    made = roundel.generate("requant", folder=tmp_path / "unit")
    (tmp_path / "unit" / "requant.v").write_text(made.verilog[: len(made.verilog) // 2])
    with pytest.raises(roundel.InputError, match=r"requant\.v: expected the whole module requant"):
        roundel.Generated.load(tmp_path / "unit")
    (tmp_path / "unit" / "manifest.json").write_text('{"unit": "../unit/requant"}')
    with pytest.raises(roundel.InputError, match="expected what `roundel generate` wrote"):
        roundel.Generated.load(tmp_path / "unit")
    small.save(tmp_path / "network")
    for report in ("[1]", "null", "{"):
        (tmp_path / "network" / "report.json").write_text(report)
        with pytest.raises(roundel.InputError, match=r"report\.json: expected the JSON"):
            roundel.CompressedNetwork.load(tmp_path / "network")


@pytest.mark.parametrize(
    ("unit", "keywords", "message"),
    [
        (["mac"], {}, r"unknown unit \['mac'\]"),
        ("mac", {"config": ["16x16"]}, r"no configuration \['16x16'\]"),
        ("mac", {"config": ""}, "no configuration ''"),
        ("mac", {"mhz": "fast"}, "expected a positive number of MHz, not 'fast'"),
        ("mac", {"mhz": True}, "expected a positive number of MHz, not True"),
        ("requant", {"folder": 3}, "folder: expected a path, not int"),
        ("requant", {"folder": "a\0b"}, "folder: expected a path, not 'a.x00b'"),
    ],
)
def test_generate_refuses_bad_names_and_values(unit, keywords, message):
    with pytest.raises(roundel.InputError, match=message):
        roundel.generate(unit, **keywords)


IMAGES = np.zeros((2, 1, 8, 8), np.uint8)


@pytest.mark.parametrize("model", [None, 3, 0, [], b"", bytearray(b"x"), np.zeros(3)], ids=repr)
def test_read_onnx_refuses_what_is_no_model(model):
    """A number would be taken for an open file of the process, read, and closed."""
    with pytest.raises(roundel.InputError, match=r"^model: (expected a path, bytes or an onnx.ModelProto|not a valid)"):
        roundel.read_onnx(model)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (None, "images: expected the path of an .npz file, or arrays, not None"),
        (3, "images: expected the path of an .npz file, or arrays, not int"),
        ([[1], [1, 2]], "images: expected an array of numbers, or lists of one length"),
        ({"images": 3}, "arrays: expected an array named images"),
        ({"images": IMAGES, "labels": [0.0, 1.0]}, "labels: expected 2 integers, not float64"),
        (np.ma.masked_equal(IMAGES + 1, 1), "images: expected an array without a mask"),
        (IMAGES.astype(bool), "images: expected finite real numbers"),
        (np.full(IMAGES.shape, np.nan), "images: expected finite real numbers"),
        (IMAGES[:0], "images: expected shape"),
        (IMAGES[0], "images: expected shape"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_images(small, images, message):
    with pytest.raises(roundel.InputError, match=message):
        roundel.run(small, images)
    with pytest.raises(roundel.InputError, match=message):
        roundel.compress(DIGITS / "digits.onnx", images)


def test_images_as_lists(small):
    held_out = {"images": IMAGES.tolist(), "labels": [1, 2]}
    assert (
        roundel.run(small, held_out).figures
        == roundel.run(small, {"images": IMAGES, "labels": np.arange(1, 3)}).figures
    )


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"count": 0}, "count: expected an integer, 1 or more, not 0"),
        ({"count": -1}, "count: expected an integer, 1 or more, not -1"),
        ({"count": 1.5}, "count: expected an integer, 1 or more, not 1.5"),
        ({"count": True}, "count: expected an integer, 1 or more, not True"),
        ({"engine": "huge"}, "engine: config must be one of tiny, small, medium, large, not 'huge'"),
        ({"engine": 3}, "engine: expected the name of a configuration, a file, settings or EngineParams, not int"),
        ({"head": 3}, "head: expected a detector, or the path of its file, not int"),
        ({"head": "a\0b"}, "head: expected a detector, or the path of its file, not 'a.x00b'"),
        ({"original": 3}, "model: expected a path, bytes or an onnx.ModelProto, not int"),
    ],
)
def test_run_refuses_bad_options(small, keywords, message):
    with pytest.raises(roundel.InputError, match=message):
        roundel.run(small, IMAGES, **keywords)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"shape": (8, 8)}, r"shape: expected \(rows, columns, channels\) or \(features,\), not \(8, 8\)"),
        ({"shape": ()}, r"shape: expected \(rows, columns, channels\)"),
        ({"shape": 64}, r"shape: expected \(rows, columns, channels\)"),
        ({"shape": "8x8x1"}, r"shape: expected \(rows, columns, channels\)"),
        ({"shape": (8.0, 8, 1)}, "shape: expected an integer, 1 or more, not 8.0"),
        ({"shape": (0, 8, 1)}, "shape: expected an integer, 1 or more, not 0"),
        ({"engine": {"lanes": 7}}, "small: lanes must be a power of two, not 7"),
        ({"trace": "no"}, "trace: expected True or False, not 'no'"),
    ],
)
def test_compile_refuses_bad_options(small, keywords, message):
    for network in (small, small.network):
        with pytest.raises(roundel.InputError, match=message):
            roundel.compile(network, **{"shape": (8, 8, 1)} | keywords)


def test_compile_takes_a_shape_as_an_array(small):
    by_array = roundel.compile(small.network, "tiny", shape=np.array([8, 8, 1]))
    assert by_array.compiled.image == roundel.compile(small, "tiny").compiled.image


CALLS = {"compile": roundel.compile, "run": lambda network: roundel.run(network, IMAGES)}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("network", [None, 3, [], b"folder", "a\0b", IMAGES], ids=lambda value: type(value).__name__)
def test_what_is_no_network(name, network):
    with pytest.raises(roundel.InputError, match=r"^network: expected a compressed network, "):
        CALLS[name](network)


@pytest.mark.parametrize("name", ["CompressedNetwork", "EngineProgram", "Generated", "Run"])
@pytest.mark.parametrize("folder", [None, 3, b"folder", "a\0b"], ids=repr)
def test_load_refuses_what_is_no_path(name, folder):
    with pytest.raises(roundel.InputError, match=r"^folder: expected a path, not "):
        getattr(roundel, name).load(folder)


def test_save_refuses_what_is_no_path(small):
    for folder in (None, 3, b"folder", "a\0b"):
        with pytest.raises(roundel.InputError, match=r"^folder: expected a path, not "):
            small.save(folder)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"steps": "small", "bits": 4, "requant": "fixed16"}, "--steps: expected power_of_two or free, not 'small'"),
        ({"steps": None}, "--steps: expected power_of_two or free, not None"),
        ({"weighting": "none"}, "weighting must be one of .*, not 'none'"),
        ({"weighting": "none", "bits": 4}, "weighting must be one of .*, not 'none'"),
        ({"bits": "8"}, "--bits: expected 2 to 8, not '8'"),
        ({"requant": "none"}, "requant must be one of .*, not 'none'"),
        ({"rounding": ""}, "rounding must be one of .*, not ''"),
        ({"codec": None}, "codec must be one of .*, not None"),
        ({"refit": "no"}, "refit must be a bool, not 'no'"),
        ({"head": 1}, "head must be a bool, not 1"),
    ],
)
def test_compress_names_the_bad_option(keywords, message):
    with pytest.raises(roundel.InputError, match=message):
        roundel.compress(DIGITS / "digits.onnx", IMAGES, **keywords)


BOXES = [[10, 10, 50, 50], [12, 11, 51, 52]]


@pytest.mark.parametrize("method", ["guarded", "greedy"])
def test_suppress_takes_no_boxes_and_sizes_of_any_kind(method):
    assert roundel.suppress([], [], method=method).kept.tolist() == []
    assert roundel.suppress([], [], [], [], method=method).kept.tolist() == []
    assert roundel.suppress(BOXES[:1], [0.5], method=method).kept.tolist() == [0]
    for size in ([64, 64], np.array([64, 64]), (np.int64(64), np.int64(64))):
        assert roundel.suppress(BOXES, [0.9, 0.8], method=method, image=size).kept.tolist() == [0]


@pytest.mark.parametrize("on", ["float", "golden"])
@pytest.mark.parametrize("method", ["guarded", "psrr", "greedy"])
@pytest.mark.parametrize(
    "scores",
    [
        [2**53, 2**53 + 1],
        np.array([2**64 - 2, 2**64 - 1], np.uint64),
        np.array([-(2**63), -(2**63) + 1]),
        np.array([1, 1 + np.finfo(np.longdouble).eps], np.longdouble),
    ],
    ids=str,
)
def test_the_better_score_is_kept_however_large(scores, method, on):
    assert roundel.suppress(BOXES, scores, image_ids=[5, 5], method=method, on=on).kept.tolist() == [1]


@pytest.mark.parametrize("method", ["guarded", "greedy"])
@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"image": 640}, r"image must be \(width, height\) in pixels, 1 to 4096 each, not 640"),
        ({"image": "64x64"}, r"image must be \(width, height\)"),
        ({"image": (640,)}, r"image must be \(width, height\)"),
        ({"image": (640, 480, 3)}, r"image must be \(width, height\)"),
        ({"image": (640.5, 480)}, "image: expected an integer, 1 to 4096, not 640.5"),
        ({"image": (5000, 480)}, "image: expected an integer, 1 to 4096, not 5000"),
        ({"image": (None, None)}, "image: expected an integer, 1 to 4096, not None"),
        ({"guard": "high"}, "guard must be .*, not '?high'?"),
        ({"guard": True}, "guard must be .*, not True"),
        ({"classes": [0.0, 1.0]}, "classes must be integers, not float64"),
        ({"scores": [2**53 + 1, 0.5]}, "scores must be .* 9007199254740993 is beyond double precision, beside floats"),
        ({"scores": [True, False]}, "scores: expected real numbers, not bool"),
        (
            {"boxes": [], "scores": [], "classes": np.zeros(0, complex)},
            "classes: expected real numbers, not complex128",
        ),
        ({"boxes": [[1, 2], [3]]}, "boxes: expected an array of numbers, or lists of one length"),
        ({"boxes": np.ma.masked_equal(BOXES, 50)}, "boxes: expected an array without a mask"),
    ],
)
def test_suppress_refuses_bad_arguments(method, keywords, message):
    with pytest.raises(roundel.InputError, match=message):
        roundel.suppress(**{"boxes": BOXES, "scores": [0.9, 0.8], "method": method} | keywords)


@pytest.mark.parametrize("function", [roundel.verify, roundel.bench, roundel.compare])
@pytest.mark.parametrize("units", ["requant", 3, None, [3]], ids=repr)
def test_units_are_a_list_of_names(function, units):
    """A name alone would be taken letter by letter, and None for all units."""
    with pytest.raises(roundel.InputError, match="units: expected a list of names, not "):
        function(units)


def test_advise_names_the_bad_option():
    with pytest.raises(roundel.InputError, match=r"scheme must be one of .*, not 'none'"):
        roundel.advise(DIGITS / "digits.onnx", IMAGES, scheme="none")
    with pytest.raises(roundel.InputError, match="networks: expected a list of names, not 'kept'"):
        roundel.advise(DIGITS / "digits.onnx", IMAGES, networks="kept")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: roundel.verify(["requant"], seed="a"),
            "seed: expected an integer, 0 to 18446744073709551615, not 'a'",
        ),
        (
            lambda: roundel.verify(["requant"], seed=None),
            "seed: expected an integer, 0 to 18446744073709551615, not None",
        ),
        (lambda: roundel.verify(["requant"], waves=3), "waves: expected a path, not int"),
        (lambda: roundel.bench(["codec"], seed=-1), "seed: expected an integer, 0 to 18446744073709551615, not -1"),
        (lambda: roundel.compare(["requant"], images=0), "images: expected an integer, 1 or more, not 0"),
        (lambda: roundel.compare(["requant"], stimulus=3), "stimulus: expected a path, not int"),
        (lambda: roundel.compare(["requant"], fpga="q"), "fpga must be ecp5, not 'q'"),
    ],
)
def test_measurements_refuse_bad_options(call, message):
    with pytest.raises(roundel.InputError, match=message):
        call()

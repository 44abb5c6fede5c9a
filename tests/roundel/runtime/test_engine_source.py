"""The user's own engine: by file, by settings, with what nobody stated following the network and the detector."""

import json
from dataclasses import replace

import pytest

import roundel
import roundel.runtime.verification
from roundel.data import DETECTOR, DIGITS
from roundel.detection import load as load_detector
from roundel.generator import parse_settings
from roundel.golden.engine import CONFIGS, EngineParams
from roundel.golden.errors import InputError
from roundel.golden.network import Weighted
from roundel.golden.rounding import Rounding
from roundel.hw.units import UNITS
from roundel.runtime import engine_choice, read_engine
from roundel.runtime.random_activations import USUAL, fitted
from tests.support.command import call

SMALL, TINY = EngineParams.named("small"), EngineParams.named("tiny")
OWN = replace(TINY, nms=replace(TINY.nms, capacity=100))  # which tests/units/test_engine.py builds, too


def write_manifest(folder, params):
    """What `roundel generate engine` writes beside its Verilog; of another unit, as an engine takes long to make."""
    folder.mkdir()
    small = UNITS["mac"].params(lanes=2, columns=2, depth=4)
    made = roundel.generate("mac", small).manifest
    assert (made["unit"], made["parameters"]) == ("mac", small.as_dict())
    sheet = made | {"unit": "engine", "parameters": params.as_dict(), "derived": params.derived()}
    (folder / "manifest.json").write_text(json.dumps(sheet))
    return folder / "manifest.json"


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """The digits network, compressed."""
    folder = tmp_path_factory.mktemp("engine") / "digits"
    roundel.compress(DIGITS / "digits.onnx", DIGITS / "calibration.npz").save(folder)
    return folder


def test_a_network_runs_on_the_engine_of_a_manifest(digits, tmp_path):
    file = write_manifest(tmp_path / "generated", OWN)
    common = ("run", digits, "--input", DIGITS / "heldout.npz", "--count", 1)
    assert call(*common, "--on", "rtl", "--engine", file, "-o", tmp_path / "out") == 0
    figures = json.loads((tmp_path / "out" / "run.json").read_text())
    assert figures["equal"] is True
    assert figures["engine"] == OWN.as_dict()  # and none of a named configuration
    assert OWN.as_dict() not in [EngineParams.named(name).as_dict() for name in CONFIGS]


def test_file_folder_and_settings_give_the_parameters_that_they_state(tmp_path):
    file = write_manifest(tmp_path / "generated", OWN)
    for source in (file, str(file), file.parent, str(file.parent)):
        assert engine_choice(source).params == OWN
        assert engine_choice(source).stated == OWN.as_dict().keys()
    assert engine_choice({"config": "tiny", "bus": 128}).params == replace(TINY, bus=128)
    assert engine_choice({"bus": 128}).params == replace(SMALL, bus=128)
    assert engine_choice({"bus": 128}, OWN).params == replace(OWN, bus=128)
    inner = engine_choice({"nms": {"capacity": 64}})
    assert inner.params == replace(SMALL, nms=replace(SMALL.nms, capacity=64))
    assert inner.stated == {"nms"}


def test_a_program_is_for_the_generated_engine(digits, tmp_path):
    """Its fingerprint is that of the manifest, and `generate --engine` has the program's engine again."""
    file = write_manifest(tmp_path / "generated", OWN)
    assert call("compile", digits, "--engine", file, "--set", "burst=8", "-o", tmp_path / "program") == 0
    program = roundel.EngineProgram.load(tmp_path / "program")
    assert program.params == replace(OWN, burst=8)
    assert program.compiled.program.fingerprint == json.loads(file.read_text())["derived"]["fingerprint"]
    source = tmp_path / "program" / "engine.toml"
    assert engine_choice(source).params == program.params
    assert parse_settings(UNITS["engine"], ["burst=4"], read_engine(source)) == replace(OWN, burst=4).as_dict()
    golden = roundel.run(program, DIGITS / "heldout.npz", count=1, engine={"bus": 128})
    assert golden.integers["scores"].shape == (1, 10)


def test_compile_takes_scheme_and_rounding_from_the_network(tmp_path):
    images = DIGITS / "calibration.npz"
    small = roundel.compress(DIGITS / "digits_qdq.onnx", images, requant="fixed16")
    for engine in ("tiny", {"config": "tiny", "scheme": "fixed16"}):
        program = roundel.compile(small, engine)
        assert (program.params.scheme.value, program.params.rounding.value) == ("fixed16", "half_even")
        assert "for an engine with scheme=fixed16 and rounding=half_even" in program.lines()
    with pytest.raises(InputError, match="rounds half_even, the engine floor; an engine with rounding=half_even runs"):
        roundel.compile(small, {"rounding": "floor"})
    with pytest.raises(InputError, match="requantizes by fixed16, the engine by shift; an engine with scheme=fixed16"):
        roundel.compile(small, EngineParams.named("tiny"))
    program = roundel.compile(roundel.compress(DIGITS / "digits.onnx", images), "tiny")
    assert [line for line in program.lines() if "scheme" in line] == []


def test_requantizer_and_boxes_follow_unless_stated(digits):
    network, detector = roundel.CompressedNetwork.load(digits).network, load_detector(DETECTOR / "detector.toml")
    fixed = replace(SMALL, scheme="fixed16", rounding="half_even")
    assert engine_choice(fixed).with_requantizer(network).params.scheme.value == "shift"
    stated = engine_choice({"scheme": "fixed16"}).with_requantizer(network)
    assert stated.params.scheme.value == "fixed16"
    layers = [replace(layer, rounding=Rounding.FLOOR) for layer in network.layers if isinstance(layer, Weighted)]
    floored = replace(network, layers=tuple(layers[:1]), results=())
    assert engine_choice({"scheme": "shift"}).with_requantizer(floored).params.rounding is Rounding.FLOOR
    assert engine_choice({"rounding": "half_up"}).with_requantizer(floored).params.rounding is Rounding.HALF_UP
    assert engine_choice("small").with_units(network).params == SMALL
    _, activation = fitted("silu")
    (layer,) = (replace(layer, output=USUAL, bounds=None, activation=activation) for layer in layers[:1])
    active = replace(network, layers=(layer,), results=())
    assert engine_choice("small").with_units(active).params == replace(SMALL, act_lanes=2)
    assert engine_choice({"act_lanes": 8}).with_units(active).params.act_lanes == 8
    for stated in (SMALL.as_dict() | {"act_lanes": 0}, {"act_lanes": 0}, {"scheme": "fixed16"}):
        assert engine_choice(stated).with_units(active).params.act_lanes == 0
    other = replace(detector, nms=replace(detector.nms, capacity=64))
    assert engine_choice("small").with_boxes(other).params.nms == other.nms
    assert engine_choice(SMALL.as_dict()).with_boxes(replace(detector, nms=SMALL.nms)).params == SMALL
    for settings, message in (
        (SMALL.as_dict(), "nms.capacity is 256, but .*detector.toml needs 64"),
        ({"nms": None}, "it has no box unit .*, which .*detector.toml needs"),
    ):
        with pytest.raises(InputError, match=message + ".*generate the engine from the engine.toml"):
            engine_choice(settings).with_boxes(other)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--engine", "none.json"), "none.json: expected manifest.json of"),
        (("--engine", "folder"), "folder: expected manifest.json of"),
        (("--engine", "text.json"), "text.json: expected manifest.json of `roundel generate engine` or engine.toml"),
        (("--engine", "list.json"), "list.json: expected manifest.json of"),
        (("--engine", "mac.json"), "not the manifest of unit 'mac'"),
        (("--engine", "odd.json"), "odd.json: lanes must be a power of two, not 7"),
        (("--engine", "deep.json"), "deep.json: expected manifest.json of"),
        (("--engine", "engine.toml", "--config", "tiny"), "--engine: expected a file or a configuration, not both"),
        (("--engine", "engine.toml", "--set", "config=tiny"), "--engine: expected a file or a configuration, not both"),
        (("--config", "tiny", "--set", "config=small"), "--config tiny and --set config=small: expected one of them"),
        (("--set", "lane=4"), "unit engine has no parameter 'lane'"),
        (("--set", "lanes=16"), "columns must equal lanes"),
        (("--set", "memory"), "--set 'memory': expected key=value"),
        (("--set", "config=huge"), "config must be one of tiny, small, medium, large, not 'huge'"),
        (("--set", "scheme=fixed16", "--set", "rounding=half_even"), "requantizes by shift, the engine by fixed16"),
    ],
)
@pytest.mark.parametrize("command", ["run", "compile"])
def test_refused_before_any_work(command, arguments, message, digits, tmp_path, monkeypatch, capsys):
    files = {
        "text.json": "no JSON",
        "list.json": "[1]",
        "mac.json": json.dumps({"unit": "mac", "parameters": {}}),
        "odd.json": json.dumps(SMALL.as_dict() | {"lanes": 7, "columns": 7}),
        "deep.json": "[" * 100_000,
        "engine.toml": json.dumps(SMALL.as_dict()),
    }
    (tmp_path / "work" / "folder").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    for name, text in files.items():
        (tmp_path / "work" / name).write_text(text)
    more = ("--input", DIGITS / "heldout.npz", "--on", "rtl") if command == "run" else ()
    assert call(command, digits, *more, *arguments, "-o", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("engine", [7, None, b"small", ["small"], "huge"])
def test_other_values_are_refused_by_the_api(engine, digits):
    with pytest.raises(InputError, match=r"^engine: "):
        roundel.compile(digits, engine)


def test_verify_takes_the_parameters_of_one_unit(tmp_path, monkeypatch, capsys):
    """The cases that would run; the benches themselves are those of all configurations."""
    todo = []

    def noted(cases, **_):
        todo[:] = cases
        return []

    monkeypatch.setattr(roundel.runtime.verification, "prove_all", noted)
    file = write_manifest(tmp_path / "generated", OWN)
    assert call("verify", "engine", "--engine", file, "--set", "burst=8") == 0
    assert [case.name for case in todo] == ["own", "own, stalls"]
    expected = replace(OWN, burst=8)
    assert {EngineParams(**case.config["params"]) for case in todo} == {expected}
    assert call("verify", "requant", "--set", "out_width=5") == 0
    assert [case.config["params"]["out_width"] for case in todo] == [5, 5]
    roundel.verify(["engine"], params=expected)
    assert EngineParams(**todo[0].config["params"]) == expected
    todo.clear()
    capsys.readouterr()
    for arguments, message in (
        (("engine", "mac", "--set", "lanes=8"), "expected one unit with them"),
        (("--set", "lanes=8"), "expected one unit with them"),
        (("requant", "--config", "shift_half_up", "--set", "out_width=5"), "and no configuration"),
        (("requant", "--engine", file), "--engine: expected unit engine with it, not 'requant'"),
        (
            ("engine", "--engine", file, "--set", "rounding=floor"),
            "rounding=half_up, as the networks of its proof need",
        ),
    ):
        assert call("verify", *arguments) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    assert not todo

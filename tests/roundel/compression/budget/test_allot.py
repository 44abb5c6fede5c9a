"""Bits under a budget: programs of the result are counted again, and all other choices are tried."""

from itertools import product

import numpy as np
import pytest

import roundel
from roundel.compiler import compile_network
from roundel.compression.budget.costs import candidates
from roundel.compression.budget.params import Budget, Cost, parse_budget
from roundel.data import DIGITS
from roundel.frontend import read_graph
from roundel.golden.cycles import predict
from roundel.golden.errors import InputError
from roundel.golden.network import outputs
from roundel.graph import fold, load_images
from roundel.quantization import QuantizeOptions, quantize
from roundel.runtime import engine_choice
from tests.support.command import call

CALIBRATION = DIGITS / "calibration.npz"
SHAPE = (8, 8, 1)
NARROW = {"config": "small", "weight_width": 4}


def compressed(budget, engine=NARROW, **options):
    return roundel.compress(DIGITS / "digits.onnx", CALIBRATION, engine=engine_choice(engine), budget=budget, **options)


def cycles(network, engine=NARROW):
    """All cycles of a network by the cycle model, from a program of its own."""
    compiled = compile_network(network, SHAPE, engine_choice(engine).fitted(network))
    return predict(compiled.params, np.frombuffer(compiled.image, np.uint8))[1]


@pytest.fixture(scope="module")
def mixed():
    return compressed("cycles=0.7")


def uniform(bits):
    graph = fold(read_graph(DIGITS / "digits.onnx"))
    options = QuantizeOptions(weight_bits=bits, array_bits=4)
    return quantize(graph, load_images(CALIBRATION, graph).images, options).network


def test_budget_is_kept_by_the_program(mixed):
    told = mixed.report["budget"]
    assert cycles(mixed.network) / told["whole"] == pytest.approx(told["ratio"])
    assert told["ratio"] <= 0.7
    assert told["whole"] == pytest.approx(cycles(uniform(8)), rel=0.02)  # of a sketch, whose weights differ
    widths = {layer.name: layer.w.width for layer in mixed.network.weighted}
    assert widths == told["bits"]
    assert set(widths.values()) == {4, 8}


def test_no_other_choice_is_as_cheap_and_loses_less(mixed):
    """Of all choices of 4 and 8 bits, by their real programs and their real results, none is clearly better."""
    graph = fold(read_graph(DIGITS / "digits.onnx"))
    images = load_images(CALIBRATION, graph).images
    names = list(mixed.report["budget"]["bits"])
    real = graph.run(images)

    def lost(network):
        [values] = outputs(network, network.encode(images)).values()
        return float(((network.layers[-1].output.decode(values) - real) ** 2).sum())

    whole, least = mixed.report["budget"]["whole"], np.inf
    for bits in product((4, 8), repeat=len(names)):
        options = QuantizeOptions(module_bits=dict(zip(names, bits, strict=True)), array_bits=4)
        network = quantize(graph, images, options).network
        if cycles(network) <= 0.7 * whole:
            least = min(least, lost(network))
    assert lost(mixed.network) <= 1.3 * least


@pytest.mark.parametrize(("width", "expected"), [(8, (8,)), (4, (4, 8)), (2, (2, 4, 6, 8))])
def test_candidates_of_cycles_are_numbers_of_digits(width, expected):
    assert candidates(width, Cost.CYCLES) == expected
    assert candidates(width, Cost.BYTES) == (2, 3, 4, 6, 8)


def test_bytes_of_the_program():
    small = compressed("bytes=0.8", engine="small", sensitivity="weights")
    compiled = compile_network(small.network, SHAPE, engine_choice("small").fitted(small.network))
    told = small.report["budget"]
    assert len(compiled.image) / told["whole"] == pytest.approx(told["ratio"])
    assert told["ratio"] <= 0.8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget": "cycles=0.3"}, "the nearest that bits reach on small is cycles=0.52"),
        ({"budget": "cycles=0.5", "engine": "small"}, "bits are no lever for cycles on small, whose array multiplies "
         "weights of 8 bits"),
        ({"budget": "cycles=0.5", "bits": 4}, "--budget cycles=0.5: expected no --bits"),
        ({"budget": "cycles=0.5", "weight_bits": 4}, "--budget cycles=0.5: expected no --weight-bits"),
        ({"budget": "cycles=0.5", "requant": "fixed16"}, "--budget cycles=0.5: expected no --requant"),
        ({"budget": "cycles"}, "--budget: expected COST=RATIO"),
        ({"budget": "area=0.5"}, "--budget: expected COST=RATIO with a cost of cycles, energy, bytes"),
        ({"budget": "cycles=x"}, "expected a number behind cycles="),
        ({"budget": "cycles=0"}, "ratio must be above 0 and at most 1, not 0.0"),
        ({"budget": "cycles=nan"}, "ratio must be above 0 and at most 1, not nan"),
        ({"budget": "cycles=0.5", "sensitivity": "guess"}, "sensitivity must be"),
    ],
)  # fmt: skip
def test_refused(options, message):
    with pytest.raises(InputError) as caught:
        compressed(**options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_engine_and_no_free_weights():
    with pytest.raises(InputError, match="expected --config, --engine or --set as well"):
        roundel.compress(DIGITS / "digits.onnx", CALIBRATION, budget="cycles=0.5")
    with pytest.raises(InputError, match="expected layers whose weights are free"):
        roundel.compress(DIGITS / "digits_sparse.onnx", CALIBRATION, budget="bytes=0.5", engine=engine_choice("small"))


def test_budget_of_one_is_all_bits():
    assert set(compressed("cycles=1").report["budget"]["bits"].values()) == {8}


def test_parse():
    assert parse_budget("energy=0.25") == Budget(cost="energy", ratio=0.25)
    assert str(parse_budget("energy=0.25")) == "energy=0.25"


def test_command(tmp_path, capsys):
    arguments = [DIGITS / "digits.onnx", "--calibration", CALIBRATION, "-o", tmp_path]
    assert call("compress", *arguments, "--budget", "cycles=0.8", "--config", "small", "--set", "weight_width=4") == 0
    assert "Budget cycles=0.8 on small: 0." in capsys.readouterr().out
    assert (tmp_path / "front.png").stat().st_size > 1000
    assert "## Budget" in (tmp_path / "report.md").read_text()
    assert call("compress", *arguments) == 0
    assert not (tmp_path / "front.png").exists()

"""What an engine cannot run is refused with the parameters of one that can: the named values are tried and work."""

import re
from dataclasses import replace

import numpy as np
import pytest

from roundel.compiler import compile_network
from roundel.compiler.refusal import EngineError, fewer_lanes, with_way_on
from roundel.generator import find_unit, parse_settings
from roundel.golden.engine import CONFIGS, EngineParams
from roundel.golden.errors import InputError
from roundel.golden.network import save
from roundel.golden.requant import Scheme
from roundel.graph import LeakyRelu
from roundel.quantization import QuantizeOptions, quantize
from tests.roundel.compiler.test_compile import check
from tests.support.command import call
from tests.support.made_graphs import conv, dense, network, node

TINY = EngineParams.named("tiny")
WAY_ON = re.compile(r"; an engine with (.*) runs it \(((?:--set [\w=]+ ?)+)\)$")


def integers(graph, **options):
    """The graph as integers, and an image of them."""
    rng = np.random.default_rng(7)
    images = rng.uniform(0, 1, (1, *graph.shape)).astype(np.float32)
    made = quantize(graph, images, QuantizeOptions(**options)).network
    return made, made.encode(images)[0]


def named(message):
    """The settings at the end of a refusal."""
    settings = WAY_ON.search(message)[2].replace("--set ", "").split()
    assert WAY_ON.search(message)[1] == " and ".join(settings)
    return settings


def convolution():
    return network((8, 8, 8), conv(np.random.default_rng(1), "x", "y", 8, 8))


def finer(made):
    """Integers with weights of 14 bits, such as no 16 weights of 8 bits, nor 64 scaled ones of 2, add up to."""
    (layer,) = made.layers
    weights, form = layer.weights * 64 + 1, replace(layer.w, width=14, fraction=layer.w.fraction + 6)
    return replace(made, layers=(replace(layer, weights=weights, w=form),))


def test_weights_that_an_engine_with_scales_holds():
    made, image = integers(convolution())
    with pytest.raises(
        InputError, match=rf"^conv_y: weights do not fit into 16 times 8 bits{WAY_ON.pattern}"
    ) as caught:
        compile_network(finer(made), image.shape, replace(TINY, scales=False))
    assert named(str(caught.value)) == ["scales=True"]
    check(finer(made), image, TINY)


def long_sum():
    return network((12_000,), dense(np.random.default_rng(1), "x", "y", 12_000, 2))


@pytest.mark.parametrize(
    ("graph", "start", "message", "changed"),
    [
        (convolution, {"bias_width": 4}, r"conv_y: a bias of \d+ needs more than 4 bits", {"bias_width"}),
        (convolution, {"weight_width": 2}, "conv_y: weights do not fit into 64 times 2 bits", {"weight_width"}),
        (convolution, {"rounding": "floor"}, "conv_y: rounds half_up, the engine floor", {"rounding"}),
        (
            convolution,
            {"scheme": "fixed16", "rounding": "half_even", "bias_width": 4},
            "conv_y: requantizes by shift, the engine by fixed16",
            {"scheme", "rounding", "bias_width"},
        ),
        (long_sum, {"reduction": 2, "bias_width": 24}, r"dense_y: sums need \d+ bits", {"reduction"}),
        (long_sum, {"memory": 4096}, "dense_y: what it needs at once does not fit into 1023 words", {"memory"}),
    ],
    ids=["bias", "weights", "rounding", "scheme", "sums", "memory"],
)
def test_the_named_engine_runs_it(graph, start, message, changed):
    """Golden's engine gives every value of golden's network, and half of what was named does not do."""
    made, image = integers(graph())
    made = finer(made) if "weight_width" in start else made
    params = EngineParams(**CONFIGS["tiny"] | {"memory": 1 << 18} | start)
    with pytest.raises(InputError, match=rf"^{message}.*{WAY_ON.pattern}") as caught:
        compile_network(made, image.shape, params)
    values = parse_settings(find_unit("engine"), named(str(caught.value)), params.as_dict())
    better = EngineParams(**values)
    assert {name for name, value in values.items() if value != params.as_dict()[name]} == changed
    check(made, image, better)
    for name in changed & {"memory", "reduction"}:
        with pytest.raises(InputError):
            compile_network(made, image.shape, replace(better, **{name: getattr(better, name) // 2}))
    for name in changed & {"bias_width", "weight_width"}:
        with pytest.raises(InputError):
            compile_network(made, image.shape, replace(better, **{name: getattr(better, name) - 1}))


def test_the_command_that_follows_the_refusal(tmp_path, capsys):
    """A sum of 140,000 features on `small`."""
    made, _ = integers(network((140_000,), dense(np.random.default_rng(1), "x", "y", 140_000, 1)))
    save(made, tmp_path / "network.npz", {"input_shape": [140_000]})
    arguments = ("compile", tmp_path / "network.npz", "--config", "small", "-o", tmp_path / "out")
    assert call(*arguments) == 2
    error = capsys.readouterr().err
    assert "dense_y: what it needs at once does not fit into 16383 words on chip; an engine with memory=" in error
    assert error.count("\n") == 1
    settings = named(error.strip())
    assert settings == ["memory=262144"]
    assert not (tmp_path / "out").exists()
    assert call(*arguments, *(word for setting in settings for word in ("--set", setting))) == 0


def test_what_no_engine_runs_names_none():
    """Neither the greatest memory nor another parameter: the refusal is the first one, alone."""

    def refuse(engine):
        better = {"memory": 2 * engine.memory} if engine.memory < 1 << 24 else {}
        raise EngineError(f"layer: {engine.memory} bytes are too few", better)

    with pytest.raises(InputError) as caught:
        with_way_on(refuse, TINY)
    assert (type(caught.value), str(caught.value)) == (InputError, "layer: 32768 bytes are too few")

    def contradict(engine):  # either of two values, and then the other one
        other = Scheme.SHIFT if engine.scheme is Scheme.FIXED8 else Scheme.FIXED8
        raise EngineError("layer: no", {"scheme": other, "rounding": "half_up"})

    with pytest.raises(InputError, match=r"^layer: no$"):
        with_way_on(contradict, TINY)
    assert fewer_lanes(EngineParams.named("small")) == {"lanes": 4, "columns": 4}
    assert fewer_lanes(TINY) == {}


def test_a_leak_without_shifts_is_refused_with_a_network_that_works():
    graph = convolution()
    graph = network((8, 8, 8), *graph.nodes, node(LeakyRelu, "y", "z", slope=0.125))
    made, image = integers(graph, requant=Scheme.FIXED16)
    params = replace(TINY, scheme="fixed16", rounding="half_up")
    with pytest.raises(InputError, match=r"a leak needs an engine that shifts, .*: compress the network with --req"):
        compile_network(made, image.shape, params)
    made, image = integers(graph, requant=Scheme.SHIFT)
    check(made, image, TINY)

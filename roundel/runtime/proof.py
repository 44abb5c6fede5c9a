"""Proves the engine: networks drawn at random, compiled, and programs drawn at random, on its RTL and on golden."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from roundel.compiler import Head, compile_network
from roundel.golden.engine import Engine, EngineParams
from roundel.golden.errors import InputError, MismatchError, ToolError
from roundel.golden.network import Network
from roundel.golden.rounding import Ints
from roundel.runtime.differences import difference
from roundel.runtime.programs import differences, draw_batch
from roundel.runtime.random_networks import engine_detector, engine_network
from roundel.runtime.random_tensors import with_other_weights
from roundel.sim.engine_run import simulate
from roundel.sim.runner import Result
from roundel.sim.verify import Case, Prover

NETWORKS = 6  # of a case
SOUND, BROKEN = 30, 9  # programs of a case
MOST_SELECTED = 40  # channels of an image where lanes select
SIZE = 16  # rows and columns of an image, at most
SEEDS = 1000  # networks that a seed may draw
DELAY = 20  # cycles of the outer memory


def prove(case: Case, *, seed: int, waves: Path | None = None) -> Result:
    """Run a case of the engine, as `roundel.sim.verify.prove` runs those of the other units.

    First come networks, with weights of any width, and patterns of channels where lanes select: every layer's result
    is stored, and compared; every second network is a detector, whose boxes are too. Then come programs that no
    compiler writes, see `roundel.runtime.programs`. With stalls in the case's configuration the outer memory stalls as
    often on each of its channels.

    Raises
    ------
    ToolError
        Build or simulation crashed, or what was drawn does not compile or run on golden: nothing is said of the RTL.
    """
    params = EngineParams(**case.config["params"])
    settings = {"stalls": round(256 * case.config.get("stalls", 0)), "delay": DELAY}
    failures = []
    for number in range(SEEDS * seed, SEEDS * seed + NETWORKS):
        failures += _tried(f"network {number}", _check_network, params, number, settings, waves)
    failures += _tried(f"programs of seed {seed}", _check_programs, params, seed, settings, waves)
    return Result(NETWORKS + SOUND + BROKEN + 1, tuple(failures), waves or Path())


def _tried(what: str, check: Callable[..., Sequence[str]], *given: Any) -> list[str]:
    """Return what a check says is different, in lines that begin with what it is; ToolError where it cannot say."""
    try:
        return [f"{what}: {line}" for line in check(*given)]
    except MismatchError as error:
        return [f"{what}: {error}"]
    except (InputError, OverflowError) as error:
        raise ToolError(f"{what}: {error}") from error


def _check_network(params: EngineParams, number: int, settings: dict[str, int], waves: Path | None) -> Sequence[str]:
    """Draw a network and check it; MismatchError where RTL and golden differ."""
    folder = waves / f"network-{number}" if waves else None
    units: dict[str, Any] = {"activations": params.act_lanes > 0, "gates": params.gates}
    units |= {"channels": MOST_SELECTED} if params.select else {}
    if number % 2 and params.nms is not None:
        network, image, heads = engine_detector(number, params.nms.format, size=SIZE, **units)
    else:
        network, image, heads = *engine_network(number, size=SIZE, **units), ()
    network = with_other_weights(network, number, lanes=params.lanes if params.select else 0)
    check(params, network, image, heads, settings=settings, seed=number, folder=folder)
    return ()


def _check_programs(params: EngineParams, seed: int, settings: dict[str, int], waves: Path | None) -> Sequence[str]:
    """Draw programs and run them; a line for each that ends in another way on RTL."""
    folder = waves / "programs" if waves else None
    programs = draw_batch(params, seed, sound=SOUND, broken=BROKEN)
    trace = "vcd" if waves else None
    return differences(params, programs, settings=settings, seed=seed, trace=trace, folder=folder)


def check(
    params: EngineParams,
    network: Network,
    image: Ints,
    heads: Sequence[Head] = (),
    *,
    settings: dict[str, int],
    seed: int,
    folder: Path | None = None,
) -> None:
    """Compile and run a network, with waves if there is a folder for them.

    Parameters
    ----------
    params, network, image, heads
        The engine, and a network with an image for it; boxes come out where it has heads.
    settings
        Delays and stalls of the simulated bus, by name.
    seed
        Seed of the stalls.
    folder
        Keeps waves; None makes none.

    Raises
    ------
    MismatchError
        RTL and golden differ: in which tensor, or where in the outer memory; or the engine stopped.
    """
    compiled = compile_network(network, image.shape, params, heads=heads, trace=True)
    regions = compiled.regions(image)
    run = simulate(params, regions, settings=settings, seed=seed, trace="vcd" if folder else None, folder=folder)
    registers = run.registers
    golden = Engine(params=params, regions=regions)
    golden.run()
    if registers["status"] != golden.status:
        raise MismatchError(f"the engine ended with status {registers['status']}, error {registers['error_code']}")
    for name in compiled.tensors:
        if wrong := difference(0, name, compiled.read(name, run.regions), compiled.read(name, regions)):
            raise MismatchError(str(wrong))
    for region, content in regions.items():
        if not np.array_equal(run.regions[region], content):
            raise MismatchError(f"the outer memory differs in region {region.name}")


PROVERS: Mapping[str, Prover] = MappingProxyType({"engine": prove})
"""Units whose proof is more than their bench, for `roundel.sim.verify.prove_all`."""

"""Proves units: RTL against golden, by the benches of all units and by random networks on the engine."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roundel.generator import find_unit, unit_params
from roundel.golden.engine import EngineParams
from roundel.golden.errors import InputError
from roundel.graph import integer_of
from roundel.hw.units import UNITS
from roundel.runtime.proof import PROVERS
from roundel.sim.runner import Result as BenchResult
from roundel.sim.verify import Case, cases, prove_all
from roundel.sim.verilator import find_verilator
from roundel.ui import MAX_SEED, Grid, Progress, Result, check_names, path_of, silent, write_json

STALLS = ", stalls"  # what the name of a case with stalls ends in


@dataclass(frozen=True, kw_only=True, eq=False)
class Verification(Result):
    """The outcome of a verification.

    Attributes
    ----------
    seed
        Seed of everything random.
    simulator
        Which Verilator ran the benches.
    outcomes
        Every case with its result.
    """

    seed: int
    simulator: str
    outcomes: tuple[tuple[Case, BenchResult], ...]

    @property
    def passed(self) -> bool:
        """Whether all cases ran, and RTL equals golden in every one."""
        return all(result.passed for _, result in self.outcomes)

    @property
    def differs(self) -> bool:
        """Whether RTL differs from golden in a case; what the harness could not run says nothing of that."""
        return any(result.failures for _, result in self.outcomes)

    def as_dict(self) -> list[dict[str, Any]]:
        """Give a row for each case."""
        return [
            {
                "unit": case.unit,
                "config": case.name,
                "seed": self.seed,
                "passed": result.passed,
                "failures": list(result.failures),
                "errors": list(result.errors),
            }
            for case, result in self.outcomes
        ]

    def tables(self) -> Iterable[Grid]:
        """Give for each case whether RTL equals golden, or that the harness failed."""
        cells = [(f"{case.unit} {case.name}", _verdict(result)) for case, result in self.outcomes]
        yield Grid(f"RTL against golden, seed {self.seed}", ("unit and configuration", "result"), cells)

    def notes(self) -> Iterable[str]:
        """Name the cases that failed.

        Yields
        ------
        str
            A line for each: its first failure, and where its log is; or what went wrong in the harness.
        """
        for case, result in self.outcomes:
            for failure in result.failures[:1]:
                yield f"{case.unit} {case.name}: {failure} (log in {result.folder})"
            for error in result.errors[:1]:
                yield f"{case.unit} {case.name}: the harness failed: {error}"

    def write(self, folder: Path) -> None:
        """Write `verify.json`."""
        write_json(folder / "verify.json", self.as_dict())


def verify(
    units: Sequence[str] = (),
    *,
    configs: Sequence[str] = (),
    params: Any = None,
    seed: int = 1,
    waves: str | Path | None = None,
    progress: Progress = silent,
) -> Verification:
    """Verify units: RTL against golden in cocotb benches under Verilator, without and with stalls.

    Parameters
    ----------
    units
        Names of units; all if empty.
    configs
        Named configurations of theirs; all if empty.
    params
        Parameters of the one unit that is named, in place of its configurations: an object of its class such as
        `EngineParams`, or keyword arguments. An engine must shift and round half up, as the networks do that its
        proof draws.
    seed
        Seed of everything random, 0 to 2**64 - 1.
    waves
        Folder that keeps logs and VCD waves.
    progress
        Told of every case.

    Returns
    -------
    Verification
        `passed`, and a row for each case.

    Raises
    ------
    InputError
        An unknown unit or configuration, parameters that the unit or its proof refuses, a seed out of range, or a
        file in the way of the waves.
    ToolError
        There is no Verilator. What goes wrong with a case is among its errors.

    Examples
    --------
    >>> import roundel
    >>> roundel.verify(["requant"], configs=["shift_half_up"]).passed
    True
    """
    check_names("units", units)
    check_names("configs", configs)
    seed = integer_of("seed", seed, 0, MAX_SEED)
    waves = None if waves is None else path_of("waves", waves)
    if waves and (wrong := [path for path in (waves, *waves.parents) if path.exists() and not path.is_dir()]):
        raise InputError(f"{wrong[0]}: is a file, expected a folder for waves")
    own = None if params is None else _own(units, configs, params)
    todo = [case for name in dict.fromkeys(units or UNITS) for case in cases(find_unit(name), own)]
    if configs:
        wanted = {name.removesuffix(STALLS) for name in configs}
        known = {case.name.removesuffix(STALLS) for case in todo}
        if unknown := wanted - known:
            raise InputError(f"unknown configuration {min(unknown)!r}, expected one of {', '.join(sorted(known))}")
        todo = [case for case in todo if case.name.removesuffix(STALLS) in wanted]
    simulator = str(find_verilator())
    with progress("verify", len(todo)) as step:

        def done(case: Case, _: BenchResult) -> None:
            step(f"{case.unit} {case.name}")

        outcomes = prove_all(todo, seed=seed, waves=waves, done=done, provers=PROVERS)
    return Verification(seed=seed, simulator=simulator, outcomes=tuple(outcomes))


def _own(units: Sequence[str], configs: Sequence[str], params: Any) -> dict[str, Any]:
    """Return the keyword arguments of the one unit that a user gave parameters of."""
    if len(set(units)) != 1 or configs:
        raise InputError("parameters of a unit: expected one unit with them, and no configuration")
    values = unit_params(find_unit(units[0]), params)
    if isinstance(values, EngineParams):
        usual = EngineParams.named("small")
        for name in ("scheme", "rounding"):
            if getattr(values, name) is not getattr(usual, name):
                expected = f"{name}={getattr(usual, name).value}, as the networks of its proof need"
                raise InputError(f"unit engine: {expected}, not {getattr(values, name).value}; `roundel run --on rtl` "
                                 "proves such an engine on a network of yours")  # fmt: skip
    return values.as_dict()


def _verdict(result: BenchResult) -> str:
    if result.failures:
        return "DIFFERS"
    return "not known" if result.errors else "equal"

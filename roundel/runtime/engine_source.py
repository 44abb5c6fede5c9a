"""The engine that a network is compiled for or run on: a named configuration, a file, settings, or parameters.

What a user states about the engine stays as it is stated, so that a program fits the Verilog that the user has. What
nobody stated follows the network and the detector.
"""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from roundel.compiler import activation_unit
from roundel.detection import Detector
from roundel.generator import find_unit, merged
from roundel.golden.engine import CONFIGS, EngineParams
from roundel.golden.errors import InputError
from roundel.golden.network import Gate, Network, Requantized
from roundel.graph import kind_of

UNIT, CONFIG = "engine", "config"
FILES = ("manifest.json", "engine.toml")  # of `roundel generate` and of `roundel compile`
MOST = 1 << 24  # bytes of such a file

EngineSource: TypeAlias = str | Path | Mapping[str, Any] | EngineParams
"""A named configuration, a file of parameters or its folder, settings over a configuration, or parameters.

A file is `manifest.json` of `roundel generate` or `engine.toml` of `roundel compile`. Settings are keyword arguments of
`EngineParams`; `config` among them names the configuration or the file that they change.
"""


@dataclass(frozen=True, kw_only=True)
class ChosenEngine:
    """An engine, and how much of it may follow the network.

    Attributes
    ----------
    params
        Its parameters.
    stated
        Names of the parameters that the user stated, which therefore stay: all of a file, none of a configuration.
    name
        What the user called it, for messages and reports.
    """

    params: EngineParams
    stated: frozenset[str]
    name: str

    def with_boxes(self, detector: Detector | None) -> "ChosenEngine":
        """Return the engine with the NMS of a detector, and the forms of its heads; as it is without one.

        Raises
        ------
        InputError
            The user stated another NMS: the parameter that differs first.
        """
        if detector is None:
            return self
        if "nms" in self.stated and self.params.nms != detector.nms:
            raise InputError(f"{self.name}: {_difference(self.params, detector)}: {WAY_ON}")
        heads = self.params.heads if "heads" in self.stated else detector.units
        return replace(self, params=replace(self.params, nms=detector.nms, heads=heads))

    def with_requantizer(self, network: Network) -> "ChosenEngine":
        """Return the engine with the scheme and rounding of a network's first layer that rounds, unless stated.

        The compiler refuses layers that need others, by name.

        Raises
        ------
        InputError
            The engine cannot be built with them.
        """
        layer = next((layer for layer in network.layers if isinstance(layer, Requantized)), None)
        if layer is None or ("scheme" in self.stated and self.params.scheme is not layer.requant):
            return self
        wanted: dict[str, Any] = {"scheme": layer.requant, "rounding": layer.rounding}
        change = {name: value for name, value in wanted.items() if name not in self.stated}
        try:
            return replace(self, params=replace(self.params, **change))
        except ValueError as error:
            raise InputError(f"{self.name}: {error}") from None

    def fitted(self, network: Network) -> EngineParams:
        """Return its parameters, what nobody stated as the network needs it."""
        return self.with_requantizer(network).with_units(network).params

    def with_units(self, network: Network) -> "ChosenEngine":
        """Return the engine with the units that a network's layers need, for activations and for gates, unless stated.

        The compiler refuses layers for which a stated engine has no unit, by name.
        """
        change: dict[str, Any] = {}
        if any(layer.activation is not None for layer in network.weighted) and not self.params.act_lanes:
            change |= activation_unit(self.params)
        if any(isinstance(layer, Gate) for layer in network.layers):
            change["gates"] = True
        change = {name: value for name, value in change.items() if name not in self.stated}
        try:
            return replace(self, params=replace(self.params, **change))
        except ValueError:  # an engine that does not shift; the layer is refused with the way on
            return self


WAY_ON = (
    "compile the network without --engine, and generate the engine from the engine.toml of the program; or leave boxes "
    "to the host with --no-head"
)


def engine_choice(engine: EngineSource, base: EngineParams | None = None) -> ChosenEngine:
    """Find an engine.

    Parameters
    ----------
    engine
        What the user gave.
    base
        The engine that settings without `config` change; None: `small`.

    Raises
    ------
    InputError
        An unknown configuration, a file that holds no engine, or parameters that `EngineParams` refuses.
    """
    if isinstance(engine, EngineParams):
        return ChosenEngine(params=engine, stated=frozenset(), name="engine")
    if isinstance(engine, str) and engine in CONFIGS:
        return ChosenEngine(params=EngineParams.named(engine), stated=frozenset(), name=engine)
    if isinstance(engine, Mapping):
        settings = dict(engine)
        start = engine_choice(settings.pop(CONFIG) if CONFIG in settings else base or "small")
        params = _params(start.name, merged(start.params.as_dict(), settings))
        return replace(start, params=params, stated=start.stated | settings.keys())
    if not isinstance(engine, str | Path):
        expected = "the name of a configuration, a file, settings or EngineParams"
        raise InputError(f"engine: expected {expected}, not {kind_of(engine)}")
    if isinstance(engine, str) and not Path(engine).exists():
        _named(engine)
    values = read_engine(Path(engine))
    return ChosenEngine(params=_params(str(engine), values), stated=frozenset(values), name=str(engine))


def read_engine(path: Path) -> dict[str, Any]:
    """Return every parameter of the engine that a file or folder of `roundel generate` or `roundel compile` describes.

    Raises
    ------
    InputError
        The file is missing, or describes no engine: one line that names it.
    """
    file = path
    if path.is_dir():
        file = next((path / name for name in FILES if (path / name).is_file()), path)
    expected = f"expected {FILES[0]} of `roundel generate {UNIT}` or {FILES[1]} of `roundel compile`"
    try:
        if file.stat().st_size > MOST:
            raise InputError(f"{path}: {expected}, not {file.stat().st_size} bytes")
        text = file.read_text(encoding="utf-8")
        values = tomllib.loads(text) if file.suffix == ".toml" else json.loads(text)
    except OSError as error:
        raise InputError(f"{path}: {expected} ({error.strerror})") from None
    except (ValueError, RecursionError):
        raise InputError(f"{path}: {expected}, but it is not {'TOML' if file.suffix == '.toml' else 'JSON'}") from None
    if isinstance(values, dict) and "parameters" in values:
        if values.get("unit") != UNIT:
            raise InputError(f"{path}: {expected}, not the manifest of unit {values.get('unit')!r}")
        values = values["parameters"]
    names = EngineParams.__dataclass_fields__
    if not isinstance(values, dict) or not values.keys() <= names.keys() or not {"lanes", "memory"} <= values.keys():
        raise InputError(f"{path}: {expected}, but it holds no engine's parameters")
    return _params(str(path), values).as_dict()


def _named(config: object) -> EngineParams:
    try:
        return EngineParams.named(config)  # type: ignore[arg-type]  # whatever a user gave
    except (TypeError, ValueError) as error:
        raise InputError(f"engine: {error}; a file that `roundel generate` wrote is an engine, too") from None


def _params(name: str, values: Mapping[str, Any]) -> EngineParams:
    try:
        params = find_unit(UNIT).params.from_dict(values)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: {error}") from None
    assert isinstance(params, EngineParams)
    return params


def _difference(params: EngineParams, detector: Detector) -> str:
    """Say in what the engine's NMS is not the detector's."""
    if params.nms is None:
        return f"it has no box unit (nms), which {detector.file} needs"
    own, other = params.nms.as_dict(), detector.nms.as_dict()
    names = ["method", *own, *other]
    name = next(name for name in names if own.get(name) != other.get(name))
    return f"nms.{name} is {own.get(name)}, but {detector.file} needs {other.get(name)}"

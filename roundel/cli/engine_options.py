"""The options that say which engine a command is about."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from roundel.cli.options import FILE
from roundel.golden.engine import CONFIGS
from roundel.golden.errors import InputError

if TYPE_CHECKING:
    from roundel.runtime import ChosenEngine, EngineSource

Command = Callable[..., Any]


def engine_options(default: str) -> Callable[[Command], Command]:
    """Add `--config`, `--engine` and `--set` to a command; `default` says what is taken without them."""

    def add(command: Command) -> Command:
        for option in reversed(
            (
                click.option("--config", type=click.Choice(list(CONFIGS)), help=f"Engine configuration; {default}."),
                click.option(
                    "--engine",
                    "engine_file",
                    type=FILE,
                    help="Engine instead of a configuration: manifest.json of `roundel generate engine`, engine.toml "
                    "of `roundel compile`, or the folder of either.",
                ),
                click.option(
                    "--set",
                    "settings",
                    multiple=True,
                    metavar="KEY=VALUE",
                    help="Change one parameter of the engine, see `roundel units`.",
                ),
            )
        ):
            command = option(command)
        return command

    return add


def engine_source(config: str | None, engine_file: Path | None, settings: tuple[str, ...]) -> "EngineSource | None":
    """Return the engine that these options name; None without any.

    Raises
    ------
    InputError
        Two of them contradict each other, or a setting is none.
    """
    from roundel.generator import find_unit, parse_pairs

    named, values = parse_pairs(find_unit("engine"), settings)
    _check_alone(engine_file, config or named)
    if config and named and config != named:
        raise InputError(f"--config {config} and --set config={named}: expected one of them")
    base = engine_file or named or config
    if not values:
        return base
    return {"config": base, **values} if base else values


def chosen_engine(config: str | None, engine_file: Path | None, settings: tuple[str, ...]) -> "ChosenEngine | None":
    """Return the engine that these options name, found; None without any.

    Raises
    ------
    InputError
        What `engine_source` and `roundel.runtime.engine_choice` refuse.
    """
    from roundel.runtime import engine_choice

    source = engine_source(config, engine_file, settings)
    return None if source is None else engine_choice(source)


def _check_alone(engine_file: Path | None, config: str | None) -> None:
    """Raise InputError if there is a configuration beside a file."""
    if engine_file is not None and config:
        raise InputError("--engine: expected a file or a configuration, not both")


def engine_base(unit: str, engine_file: Path | None, settings: tuple[str, ...]) -> dict[str, Any]:
    """Return the parameters of a file, which the settings of unit `engine` change; none without a file.

    Raises
    ------
    InputError
        Another unit, a file that holds no engine, or a configuration as well.
    """
    from roundel.generator import find_unit, parse_pairs
    from roundel.runtime import read_engine

    if engine_file is None:
        return {}
    if unit != "engine":
        raise InputError(f"--engine: expected unit engine with it, not {unit!r}")
    _check_alone(engine_file, parse_pairs(find_unit(unit), settings)[0])
    return read_engine(engine_file)


def unit_settings(units: tuple[str, ...], engine_file: Path | None, settings: tuple[str, ...]) -> dict[str, Any] | None:
    """Return the parameters of the one unit that a command names; None without a file and settings.

    Raises
    ------
    InputError
        Another number of units than one, or what `engine_base` and `parse_settings` refuse.
    """
    from roundel.generator import find_unit, parse_settings

    if engine_file is None and not settings:
        return None
    if len(units) != 1:
        raise InputError("--set and --engine: expected one unit with them")
    return parse_settings(find_unit(units[0]), settings, engine_base(units[0], engine_file, settings))

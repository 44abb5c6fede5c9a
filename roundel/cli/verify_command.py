"""The command `verify`."""

import sys
from pathlib import Path

import click

from roundel.cli.engine_options import unit_settings
from roundel.cli.options import FILE, JSON, SEED
from roundel.cli.present import present
from roundel.ui import err, steps


@click.command("verify")
@click.argument("names", nargs=-1, metavar="[UNIT ...]")
@click.option("--config", "wanted", multiple=True, help="Verify only this configuration; may be given several times.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Verify the one unit that is named with this parameter instead, see `roundel units`; config=NAME sets those "
    "of a named configuration.",
)
@click.option(
    "--engine",
    "engine_file",
    type=FILE,
    help="Verify unit `engine` as manifest.json of `roundel generate` or engine.toml of `roundel compile` has it.",
)
@SEED
@click.option("--waves", type=FILE, help="Keep logs and VCD waves in this folder.")
@JSON
def command(
    names: tuple[str, ...],
    wanted: tuple[str, ...],
    settings: tuple[str, ...],
    engine_file: Path | None,
    seed: int,
    waves: Path | None,
    as_json: bool,
) -> None:
    """Check RTL against the golden models, with cocotb benches under Verilator.

    Exit code 1 where they differ; 3 where the harness failed, so that nothing is known.
    """
    import roundel

    params = unit_settings(names, engine_file, settings)
    verification = roundel.verify(names, configs=wanted, params=params, seed=seed, waves=waves, progress=steps)
    present(verification, as_json)
    for note in verification.notes():
        err.print(note, style="red")
    err.print(f"{verification.simulator}, seed {seed}")
    failed = sum(bool(result.failures) for _, result in verification.outcomes)
    unknown = sum(bool(result.errors) for _, result in verification.outcomes)
    not_known = f", {unknown} not known" if unknown else ""
    err.print(f"{len(verification.outcomes) - failed - unknown} passed, {failed} failed{not_known}")
    sys.exit(1 if verification.differs else 0 if verification.passed else 3)

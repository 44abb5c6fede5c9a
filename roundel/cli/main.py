"""The command line: a group whose commands are loaded when they are asked for, and exit codes.

Every command is thin: it reads options, calls one public function of `roundel`, prints or writes the result.
"""

import codecs
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from io import TextIOWrapper
from typing import Any

import click

from roundel.golden.errors import EnvironmentWarning, InputError, MismatchError, ToolError
from roundel.processes import NO_ROOM, cache_place, ending_signals

COMMANDS = {
    "advise": "Tell what it costs to move a quantized network's scales to powers of two, and what that saves.",
    "bench": "Measure throughput of the RTL, speed of simulation and golden models, and accuracy: bench.json.",
    "compare": "Compare area, delay and energy of a unit's variants: report.json, report.csv, report.md and plots.",
    "compile": "Compile an integer network for the engine: program.bin, memory_map.json, program.lst, engine.toml.",
    "compress": "Prune and quantize a trained network: network.npz, streams/, report.md and report.json.",
    "demo": "Run a trained detector on the engine's RTL, from images to boxes, and write demo.md.",
    "generate": "Write UNIT.v, manifest.json (ports, parameters, latency, tool versions) and files for other tools.",
    "inspect": "Tell what is in a network, what runs on the engine, and all that blocks: inspect.json, inspect.svg.",
    "nms": "Suppress scored boxes, and list the rows of the file that are kept.",
    "run": "Run a compressed network bit-exactly: outputs.npz, run.json, of a detector boxes and pictures.",
    "units": "List the units, their parameters and their named configurations.",
    "verify": "Check RTL against the golden models, with cocotb benches under Verilator.",
}
"""The commands, each in a file of its own, and what the list of them says."""
PLAIN = {"…": "...", "×": "x", "·": "*", "→": "->", "²": "2", "³": "3", "µ": "u", "σ": "sigma", "–": "-", "—": "-"}
PLAIN |= {"≤": "<=", "≥": ">=", "≠": "!=", "±": "+-", "°": "deg", "−": "-", "’": "'", "“": '"', "”": '"'}
"""What stands for a sign on a terminal that has it not."""


class Commands(click.Group):
    """A group that imports a command's file only when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"roundel.cli.{cmd_name}_command").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="roundel")
def cli() -> None:
    """Turn a trained network into a verified accelerator: Verilog, proof, area and energy."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line: exit code 2 on bad input, 3 when a tool crashed, one message on stderr either way.

    SIGINT, SIGTERM and SIGHUP end the process at once, with its children and its work folders.
    """
    _set_up_matplotlib()
    warnings.filterwarnings("ignore", message=".* created but never used")  # half a design, when bad input ends the run
    with ending_signals(), _plain_signs(), _warnings_on_one_line():
        code = _guarded(lambda: cli.main(arguments, standalone_mode=False))
    sys.exit(code)


def _set_up_matplotlib() -> None:
    """Keep matplotlib, which libraries load as well, from the user's settings and from a HOME of no use."""
    os.environ.pop("MATPLOTLIBRC", None)
    os.environ.update(MPLBACKEND="agg", MPLCONFIGDIR=str(cache_place() / "tools" / "matplotlib"))


@contextmanager
def _plain_signs() -> Iterator[None]:
    """Let stdout and stderr take any text, whatever their encoding: signs that it has not are put in plain ones.

    Names of files that are no valid text, and letters of other alphabets, are written as escapes.
    """
    codecs.register_error("roundel", _in_plain_signs)
    streams = [stream for stream in (sys.stdout, sys.stderr) if isinstance(stream, TextIOWrapper)]
    before = [stream.errors for stream in streams]
    for stream in streams:
        stream.reconfigure(errors="roundel")
    try:
        yield
    finally:
        for stream, errors in zip(streams, before, strict=True):
            if not stream.closed:
                stream.reconfigure(errors=errors)


def _in_plain_signs(error: UnicodeError) -> tuple[str, int]:
    """Replace what an encoding has not, as the codecs of Python ask for it."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    return "".join(PLAIN.get(sign) or sign.encode("ascii", "backslashreplace").decode() for sign in signs), error.end


@contextmanager
def _warnings_on_one_line() -> Iterator[None]:
    """Print warnings about the environment as errors are printed, not as Python prints warnings."""
    usual = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *others: Any, **named: Any) -> None:
        if issubclass(category, EnvironmentWarning):
            click.echo(f"roundel: {message}", err=True)
        else:
            usual(message, category, *others, **named)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = usual


def _guarded(call: Callable[[], Any]) -> int:
    """Return the exit code of a call, which may end as a program does; an error is one message on stderr."""
    try:
        try:
            call()
        finally:
            if sys.stdout:
                sys.stdout.flush()
    except SystemExit as stop:
        return int(stop.code or 0)
    except InputError as error:
        click.echo(f"roundel: {error}", err=True)
        return 2
    except MismatchError as error:
        click.echo(f"roundel: {error}", err=True)
        return 1
    except ToolError as error:
        click.echo(f"roundel: {error}", err=True)
        return 3
    except click.ClickException as error:
        click.echo(f"roundel: {error.format_message()}", err=True)
        return 2
    except MemoryError as error:
        click.echo(
            f"roundel: not enough memory for this input: {error or 'give it less, or run it elsewhere'}", err=True
        )
        return 2
    except click.exceptions.Abort:
        return 130
    except click.exceptions.Exit as error:
        return error.exit_code
    except BrokenPipeError:
        return 0
    except OSError as error:
        if error.errno not in NO_ROOM:
            return _fault(error)
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, what the other still holds is lost
        click.echo(f"roundel: {error.filename or 'stdout'}: cannot be written ({error.strerror})", err=True)
        return 2
    except Exception as error:
        return _fault(error)
    return 0


def _fault(error: Exception) -> int:
    traceback.print_exception(error)
    click.echo(f"roundel: {type(error).__name__}, a fault of this program: please report the lines above", err=True)
    return 70


if __name__ == "__main__":
    main()

"""Output: tables, progress and plots for a person, and files that are written whole or not at all."""

from roundel.ui.console import err, out, shortened, steps, table
from roundel.ui.inputs import MAX_SEED, check_names, path_of
from roundel.ui.markdown import markdown_table
from roundel.ui.output import output_folder, write_json
from roundel.ui.plots import COLOURS, bars, figure
from roundel.ui.progress import Done, Progress, silent
from roundel.ui.result import Grid, Result
from roundel.ui.rows import Row, row, seconds
from roundel.ui.toml import toml_lines, toml_value

__all__ = [
    "COLOURS",
    "MAX_SEED",
    "Done",
    "Grid",
    "Progress",
    "Result",
    "Row",
    "bars",
    "check_names",
    "err",
    "figure",
    "markdown_table",
    "out",
    "output_folder",
    "path_of",
    "row",
    "seconds",
    "shortened",
    "silent",
    "steps",
    "table",
    "toml_lines",
    "toml_value",
    "write_json",
]

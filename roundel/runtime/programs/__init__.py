"""Random programs for the engine, drawn from its description alone, on golden and on RTL."""

from roundel.runtime.programs.batch import Outcome, difference, differences, draw_batch, run_golden, run_rtl
from roundel.runtime.programs.broken import Break
from roundel.runtime.programs.program import DrawnProgram, draw_program

__all__ = [
    "Break",
    "DrawnProgram",
    "Outcome",
    "difference",
    "differences",
    "draw_batch",
    "draw_program",
    "run_golden",
    "run_rtl",
]

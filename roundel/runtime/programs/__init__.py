"""Random programs for the engine, drawn from its description alone, on golden and on RTL."""

from roundel.runtime.programs.batch import Outcome, difference, run_golden, run_rtl
from roundel.runtime.programs.program import DrawnProgram, draw_program

__all__ = ["DrawnProgram", "Outcome", "difference", "draw_program", "run_golden", "run_rtl"]

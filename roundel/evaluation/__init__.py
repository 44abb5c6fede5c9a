"""`roundel compare`: stimulus, jobs, reports, energy."""

from roundel.evaluation.comparison import COMPARISONS, Row, library_paths, requant_jobs, requant_variants, run_jobs
from roundel.evaluation.energy_costs import Costs, Stimulus, cost_jobs, costs_of, measure_array, sampled
from roundel.evaluation.energy_frame import count, energy_rows, task_counts, total_nj
from roundel.evaluation.outcome import Comparison, compare
from roundel.evaluation.report import REFERENCE_SCHEME, report_tables, write_report
from roundel.evaluation.report_parts import REQUANT_FIGURES, libraries, ratio_cells, ratios
from roundel.evaluation.stimulus import Accumulators, from_network, runtime
from roundel.evaluation.stimulus_decoder import FORMATS, WIDTH, laplace_weights
from roundel.evaluation.stimulus_nms import BOXES, crowd

__all__ = [
    "BOXES",
    "COMPARISONS",
    "FORMATS",
    "REFERENCE_SCHEME",
    "REQUANT_FIGURES",
    "WIDTH",
    "Accumulators",
    "Comparison",
    "Costs",
    "Row",
    "Stimulus",
    "compare",
    "cost_jobs",
    "costs_of",
    "count",
    "crowd",
    "energy_rows",
    "from_network",
    "laplace_weights",
    "libraries",
    "library_paths",
    "measure_array",
    "ratio_cells",
    "ratios",
    "report_tables",
    "requant_jobs",
    "requant_variants",
    "run_jobs",
    "runtime",
    "sampled",
    "task_counts",
    "total_nj",
    "write_report",
]

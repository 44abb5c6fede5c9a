"""Turn a trained detector into a verified accelerator.

The functions below are what the command line calls. Each is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from roundel.benchmarks import Bench as Bench
    from roundel.benchmarks import bench as bench
    from roundel.compression import CompressedNetwork as CompressedNetwork
    from roundel.compression import compress as compress
    from roundel.demo import Demo as Demo
    from roundel.demo import DemoOptions as DemoOptions
    from roundel.demo import run_demo as run_demo
    from roundel.detection import NmsResult as NmsResult
    from roundel.detection import suppress as suppress
    from roundel.evaluation import Comparison as Comparison
    from roundel.evaluation import compare as compare
    from roundel.frontend import read_onnx as read_onnx
    from roundel.generator import Generated as Generated
    from roundel.generator import describe_units as describe_units
    from roundel.generator import generate as generate
    from roundel.golden.engine import EngineParams as EngineParams
    from roundel.golden.errors import InputError as InputError
    from roundel.golden.errors import MismatchError as MismatchError
    from roundel.golden.errors import ToolError as ToolError
    from roundel.inspection import Inspection as Inspection
    from roundel.inspection import inspect as inspect
    from roundel.runtime import EngineProgram as EngineProgram
    from roundel.runtime import Pictures as Pictures
    from roundel.runtime import Run as Run
    from roundel.runtime import Verification as Verification
    from roundel.runtime import compile as compile
    from roundel.runtime import run as run
    from roundel.runtime import verify as verify
    from roundel.scales import Advised as Advised
    from roundel.scales import advise as advise

    __version__: str

_HOMES = {
    "benchmarks": ("Bench", "bench"),
    "compression": ("CompressedNetwork", "compress"),
    "demo": ("Demo", "DemoOptions", "run_demo"),
    "detection": ("NmsResult", "suppress"),
    "evaluation": ("Comparison", "compare"),
    "frontend": ("read_onnx",),
    "generator": ("Generated", "describe_units", "generate"),
    "golden.engine": ("EngineParams",),
    "golden.errors": ("InputError", "MismatchError", "ToolError"),
    "inspection": ("Inspection", "inspect"),
    "runtime": ("EngineProgram", "Pictures", "Run", "Verification", "compile", "run", "verify"),
    "scales": ("Advised", "advise"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Advised",
    "Bench",
    "Comparison",
    "CompressedNetwork",
    "Demo",
    "DemoOptions",
    "EngineParams",
    "EngineProgram",
    "Generated",
    "InputError",
    "Inspection",
    "MismatchError",
    "NmsResult",
    "Pictures",
    "Run",
    "ToolError",
    "Verification",
    "__version__",
    "advise",
    "bench",
    "compare",
    "compile",
    "compress",
    "describe_units",
    "generate",
    "inspect",
    "read_onnx",
    "run",
    "run_demo",
    "suppress",
    "verify",
]


if not TYPE_CHECKING:  # else every name would be one for type checkers

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            from importlib.metadata import version

            return version("roundel")
        if name not in _HOME:
            raise AttributeError(f"module 'roundel' has no attribute {name!r}")
        value = getattr(import_module(f"roundel.{_HOME[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

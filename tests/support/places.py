"""Where the tests find files that are no code."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
MAKE = DOCS / "make"
EXAMPLES = ROOT / "examples"
NETWORKS = ROOT / "tests" / "data" / "networks"
LIBERTY = ROOT.parent / "shared" / "liberty"

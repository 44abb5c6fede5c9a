"""Sphinx settings of the documentation: `sphinx-build -W -b html docs build/docs`, or `make docs`.

Nothing is fetched: no intersphinx, no fonts, no scripts from elsewhere.
"""

import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

project = "Roundel"
author = "the Roundel authors"
project_copyright = "the Roundel authors"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc"]
exclude_patterns = ["make", "pictures"]
source_suffix = {".md": "markdown"}
nitpicky = False  # types in docstrings are prose, not links

# ---- pages

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

# ---- docstrings

autodoc_typehints = "none"  # numpy docstrings say the types
autodoc_member_order = "bysource"
autosummary_generate = False
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

# ---- the site

html_theme = "furo"
html_title = "Roundel"
html_theme_options = {"navigation_with_keys": True}
html_copy_source = False
html_show_sphinx = False
templates_path: list[str] = []


def name_files_outside(_app: object, _page: str, source: list[str]) -> None:
    """Turn links to files outside of docs/, which the site has not, into the file's path: `text` (`path`)."""
    source[0] = re.sub(r"\[([^\]]+)\]\(\.\./([^)#]+)[^)]*\)", r"\1 (`\2`)", source[0])


def setup(app: Any) -> None:
    """Connect the rewriting of links."""
    app.connect("source-read", name_files_outside)

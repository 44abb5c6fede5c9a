"""Sphinx settings of the documentation: `sphinx-build -W -b html docs build/docs`, or `make docs`.

Nothing is fetched: no intersphinx, no fonts, no scripts from elsewhere.
"""

import inspect
import re
import sys
from pathlib import Path
from typing import Any

from amaranth.lib import wiring

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from roundel.hw.lib.ports import Component, members_section  # noqa: E402 the checkout is on the path from here on

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

default_role = "literal"  # what stands in backticks is code
autodoc_typehints = "none"  # numpy docstrings say the types
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True  # `progress=silent` as written, not a function's address
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


def name_files_outside(_app: Any, page: str, source: list[str]) -> None:
    """Turn links to files outside of docs/, which the site has not, into the file's path: `text` (`path`)."""
    if "/" not in page:
        source[0] = re.sub(r"\[([^\]]+)\]\(\.\./([^)#]+)[^)]*\)", r"\1 (`\2`)", source[0])


def ports_of(component: type[wiring.Component]) -> list[str]:
    """Return the lines of a component's ports, from its declarations."""
    return members_section(component).splitlines()[2:] if issubclass(component, Component) else []


def add_ports(_app: Any, what: str, _name: str, described: Any, _options: Any, lines: list[str]) -> None:
    """Append the ports of a component to its docstring: name, direction, shape, documentation."""
    if what != "class" or not issubclass(described, wiring.Component) or described is Component:
        return
    ports = ports_of(described)
    if ports:
        lines += ["", ".. rubric:: Ports", ""]
    for line, following in zip(ports, [*ports[1:], ""], strict=True):
        if line.startswith(" "):
            lines.append(line)
        elif following.startswith(" "):
            lines.append(f"``{line}``")
        else:
            lines += ["", f"``{line}``", ""]
    lines.append("")


def show_arguments(
    _app: Any, what: str, _name: str, described: Any, _options: Any, _arguments: str | None, _returns: str | None
) -> tuple[str, None] | None:
    """Show what a component's own `__init__` takes, which Amaranth's metaclass hides."""
    if what != "class" or not issubclass(described, wiring.Component):
        return None
    own = inspect.signature(described.__init__)
    parameters = [value.replace(annotation=inspect.Parameter.empty) for value in own.parameters.values()]
    return str(own.replace(parameters=parameters[1:], return_annotation=inspect.Signature.empty)), None


def setup(app: Any) -> None:
    """Connect the rewriting of links, of signatures, and the ports, behind numpydoc."""
    app.connect("source-read", name_files_outside)
    app.connect("autodoc-process-signature", show_arguments)
    app.connect("autodoc-process-docstring", add_ports, priority=900)

"""Write the tables of files and rooms in docs/: `python docs/make/file_tables.py`, or `make figures`.

A page asks for a table by the markers `<!-- files PATTERN ... -->` and `<!-- /files -->`, a line each. The table has a
row for each module that a pattern matches, in the order of the patterns, without `__init__.py`; a pattern that ends in
`/` stands for folders, symbolic links left out. What a module or folder holds is the first line of its docstring.
`<!-- rooms -->` asks for the order of the rooms, as the contracts of import-linter in pyproject.toml have it.
"""

import ast
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TABLE = re.compile(r"(<!-- files ([^>]+) -->\n).*?(<!-- /files -->)", re.DOTALL)
LAYERS = re.compile(r"(<!-- rooms -->\n).*?(<!-- /rooms -->)", re.DOTALL)


def summary(module: Path) -> str:
    """The first line of a module's docstring, or the whole first paragraph if its sentence goes on, without a stop."""
    text = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
    paragraph = text.split("\n\n")[0]
    first = paragraph.splitlines()[0] if paragraph else ""
    sentence = first if first.endswith(".") else " ".join(paragraph.split())
    return sentence.removesuffix(".").replace("|", "\\|")


def modules(pattern: str) -> list[Path]:
    """The modules that a pattern of a marker matches; of a folder its `__init__.py`.

    Raises
    ------
    ValueError
        If there is none.
    """
    if pattern.endswith("/"):
        folders = [path for path in sorted(ROOT.glob(pattern)) if not path.is_symlink()]
        matched = [path / "__init__.py" for path in folders if (path / "__init__.py").is_file()]
    else:
        matched = [path for path in sorted(ROOT.glob(pattern)) if path.name != "__init__.py"]
    if not matched:
        raise ValueError(f"{pattern}: no such module")
    return matched


def table(patterns: str) -> str:
    """The table for the patterns of a marker, separated by blanks."""
    paths = dict.fromkeys(path for pattern in patterns.split() for path in modules(pattern))
    rows = []
    for path in paths:
        relative = path.relative_to(ROOT)
        name = f"{relative.parent}/" if path.name == "__init__.py" else str(relative)
        rows.append(f"| `{name}` | {summary(path)} |")
    head = "folder" if all(path.name == "__init__.py" for path in paths) else "file"
    return "\n".join([f"| {head} | holds |", "| --- | --- |", *rows])


def folder_of(package: str) -> str:
    """The folder of a package; of one that `roundel` links to, the folder that the link leads to."""
    return str((ROOT / package.replace(".", "/")).resolve().relative_to(ROOT))


def layers() -> str:
    """The table of rooms of each folder, from the ground up; rooms of one layer do not import each other."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    rows = []
    for contract in project["tool"]["importlinter"]["contracts"]:
        if contract["type"] == "layers":
            [container] = contract["containers"]
            order = "; ".join(layer.replace(" | ", ", ") for layer in reversed(contract["layers"]))
            rows.append(f"| `{folder_of(container)}/` | {order} |")
    return "\n".join(["| folder | rooms and files, from the ground up |", "| --- | --- |", *rows])


def fill(text: str) -> str:
    """A page with its tables written anew."""
    text = LAYERS.sub(lambda match: f"{match[1]}{layers()}\n{match[2]}", text)
    return TABLE.sub(lambda match: f"{match[1]}{table(match[2])}\n{match[3]}", text)


def main() -> None:
    """Write all pages that have such tables."""
    for page in sorted((ROOT / "docs").glob("*.md")):
        text = page.read_text(encoding="utf-8")
        if (filled := fill(text)) != text:
            page.write_text(filled, encoding="utf-8")


if __name__ == "__main__":
    main()

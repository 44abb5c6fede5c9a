"""Write the figures of docs/demo.md from what the demo left: `make demo`, `docs/make/demo.py build/demo`."""

import json
import shutil
import sys
from pathlib import Path

from figures import replace as put

from roundel.demo import verdict
from roundel.demo.tables import accuracy, energy, layers, matches

PAGE = Path(__file__).resolve().parents[1] / Path(__file__).with_suffix(".md").name
PICTURES = ("scenes", "cycles", "roofline", "energy")


def main(folder: Path, page: Path = PAGE) -> None:
    results = json.loads((folder / "demo.json").read_text(encoding="utf-8"))
    parts = {
        "verdict": f"{verdict(results)}, on {results['tools']['simulator']}.",
        **{name: "\n".join(make(results).markdown).rstrip() for name, make in TABLES.items()},
    }
    text = page.read_text(encoding="utf-8")
    for name, part in parts.items():
        text = put(text, name, part)
    page.write_text(text, encoding="utf-8")
    for name in PICTURES:
        shutil.copy(folder / f"{name}.png", page.parent / "pictures" / f"demo_{name}.png")


TABLES = {"matches": matches, "accuracy": accuracy, "layers": layers, "energy": energy}

if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Execute `examples/tour.ipynb` and write it with its outputs; run from anywhere, with the `dev` extra."""

from pathlib import Path

TOUR = Path(__file__).resolve().parents[2] / "examples" / "tour.ipynb"
TIMEOUT = 900  # seconds of a cell: the first run on a machine compiles the simulator


def main() -> None:
    """Run all cells; leave no times and nothing of the machine behind."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(TOUR, nbformat.NO_CONVERT)
    NotebookClient(notebook, timeout=TIMEOUT, record_timing=False).execute(cwd=TOUR.parent)
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    nbformat.write(notebook, TOUR)


if __name__ == "__main__":
    main()

"""docs/tutorial.md: each command runs, in the order of the page, and prints the lines that the page shows."""

import re
import shlex

from tests.support.command import call
from tests.support.places import DOCS, ROOT

PAGE = (DOCS / "tutorial.md").read_text()
FOLDER = "build/tutorial"


def steps() -> list[tuple[list[str], list[str]]]:
    """The arguments of each command of the page, and the lines that it shows of what the command prints."""
    found: list[tuple[list[str], list[str]]] = []
    for language, content in re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL):
        if language == "sh":
            command, *arguments = shlex.split(content.replace("\\\n", " "))
            assert command == "roundel"
            found.append((arguments, []))
        elif language == "text":
            found[-1][1].extend(content.splitlines())
    return found


def test_the_commands_print_what_the_page_shows(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "200")
    commands = [arguments[0] for arguments, _ in steps()]
    assert commands == ["compress", "run", "compile", "generate", "run"]
    for arguments, shown in steps():
        assert call(*(argument.replace(FOLDER, str(tmp_path)) for argument in arguments)) == 0
        printed = " ".join(capsys.readouterr().out.split())
        for line in shown:
            assert line in printed
    for name in set(re.findall(r"`(\w+\.(?:npz|bin|json|lst|v))`", PAGE)):
        assert list(tmp_path.rglob(name)), f"{name}: not among what the commands write"

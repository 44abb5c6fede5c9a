"""Help texts: every command begins with a verb, every option with a verb or a noun, and says what it is alone."""

import inspect
import subprocess
import sys

import click
import pytest

from roundel.cli.main import COMMANDS, cli

LOADED = {name: cli.get_command(click.Context(cli), name) for name in COMMANDS}
OPTIONS = [
    (command, option) for command in LOADED.values() for option in command.params if isinstance(option, click.Option)
]
# Words that lean on the option's name or on the option before, instead of saying what the value is.
LEANING = {
    "A",
    "An",
    "Another",
    "For",
    "How",
    "If",
    "In",
    "Its",
    "Of",
    "Only",
    "That",
    "The",
    "What",
    "Whether",
    "Which",
}


@pytest.mark.parametrize(
    ("command", "option"), OPTIONS, ids=[f"{command.name} {option.opts[-1]}" for command, option in OPTIONS]
)
def test_help_of_an_option_begins_with_a_verb_or_a_noun(command, option):
    assert option.help, "no help"
    first = option.help.split()[0].rstrip(",:")
    assert first[0].isupper(), option.help
    assert first not in LEANING, option.help
    assert option.help.endswith("."), option.help


@pytest.mark.parametrize("name", LOADED)
def test_help_of_a_command_begins_with_a_verb(name):
    first = LOADED[name].get_short_help_str(limit=200).split()[0]
    assert first[0].isupper()
    assert first not in LEANING


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_what_the_commands_say(name):
    """The list is written apart, so that no command is imported for it."""
    assert LOADED[name].name == name
    first, *_ = inspect.cleandoc(LOADED[name].help).splitlines()
    assert first.startswith(COMMANDS[name])


def test_the_list_of_commands_imports_nothing_heavy():
    code = "import sys; sys.argv = ['roundel', '--help']; import runpy\n"
    code += "try: runpy.run_module('roundel', run_name='__main__')\n"
    code += "except SystemExit: print(*sorted(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Commands:" in done.stdout
    loaded = set(done.stderr.split())
    assert "roundel.cli.main" in loaded
    assert not loaded & {"numpy", "rich", "amaranth", "roundel.hw"}

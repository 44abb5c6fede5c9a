"""Help texts: every command begins with a verb, every option with a verb or a noun, and says what it is alone."""

import click
import pytest

from roundel.cli.main import cli

OPTIONS = [
    (command, option)
    for command in cli.commands.values()
    for option in command.params
    if isinstance(option, click.Option)
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


@pytest.mark.parametrize("name", cli.commands)
def test_help_of_a_command_begins_with_a_verb(name):
    first = cli.commands[name].get_short_help_str(limit=200).split()[0]
    assert first[0].isupper()
    assert first not in LEANING

"""What the terminal shows: the very words, whatever they look like."""

import pytest
from rich.console import Console

from jaxcf.cli.terminal import Outcome, Terminal
from jaxcf.explainers.progress import bars

WORDS = "[/red] [bold]a[/] :smile: [link=x]"


@pytest.mark.parametrize("quiet", [False, True])
def test_words_that_look_like_markup_are_shown_as_they_are(capsys, quiet):
    terminal = Terminal(quiet=quiet)
    terminal.say(WORDS)
    terminal.show(Outcome({}, {f"title {WORDS}": {f"{WORDS}": f"{WORDS}"}}, (WORDS,)))
    captured = capsys.readouterr()
    assert captured.err == ("" if quiet else f"{WORDS}\n{WORDS}\n")
    assert captured.out.count(WORDS) == (0 if quiet else 3)


def test_so_are_those_of_a_bar():
    console = Console(record=True, force_terminal=True, width=200)
    with bars(console, "{task.fields[text]}") as drawn:
        drawn.add_task(WORDS, total=1, text=f"text {WORDS}")
    shown = console.export_text()
    assert f"text {WORDS}" in shown
    assert shown.count(WORDS) > shown.count(f"text {WORDS}")

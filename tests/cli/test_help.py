"""What the command line teaches: help whose examples parse, near names, shell completion."""

import json
import shlex
import shutil
import subprocess
import sys

import pytest

from jaxcf.cli import main as cli
from jaxcf.cli.commands import COMMANDS
from jaxcf.cli.terminal import Outcome
from jaxcf.utils.json_files import write_json
from jaxcf.version import __version__


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def shown(arguments, capsys, status=0):
    """What is printed before the parser ends the process."""
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == status
    captured = capsys.readouterr()
    return captured.err if status else captured.out


HELP = [["--help"], *([name, "--help"] for name in COMMANDS)]


@pytest.mark.parametrize("arguments", HELP, ids=" ".join)
def test_help_teaches_and_fits_into_80_columns(arguments, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    text = shown(arguments, capsys)
    assert [line for line in text.splitlines() if len(line) > 80] == []
    for part in ("usage: jaxcf", "examples:", "exit status:", "130", "read on:"):
        assert part in text
    if len(arguments) > 1:
        assert "--json" in text
        assert "--quiet" in text


def test_the_first_help_comes_before_anything_heavy_is_imported():
    code = """
import sys
from jaxcf.cli.main import main
try:
    main(["--help"])
finally:
    print(*({"jax", "numpy", "rich", "pyarrow"} & sys.modules.keys()), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "examples:" in done.stdout
    assert done.stderr.split() == []


def examples():
    for command in COMMANDS.values():
        for line in command.epilog.splitlines():
            if line.startswith("  jaxcf "):
                yield line.strip().split("   ")[0]


@pytest.mark.parametrize("line", list(examples()))
def test_every_example_of_the_help_parses(line, monkeypatch):
    config = {"command": {"data": "digits"}, "data": {}, "models": "shipped", "settings": {}}
    write_json("run/config.json", {"schema_version": 1, **config})
    asked = []

    def note(options, terminal):
        asked.append(options)
        return Outcome({})

    _, name, *arguments = shlex.split(line.split("  ")[0])
    monkeypatch.setattr(f"jaxcf.cli.{COMMANDS[name].runs.replace(':', '.')}", note)
    assert cli.main([name, *arguments]) == 0
    assert asked[0].command == name


def test_without_a_command_there_is_the_help(capsys):
    assert "examples:" in shown([], capsys, status=2)


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["explian", "digits"], "did you mean explain?"),
        (["explain", "digits", "--tagret", "3"], "did you mean --target?"),
        (["explain", "digits", "--max-step=3"], "did you mean --max-steps?"),
        (["explain", "digits", "--obj", "C"], "did you mean --objective?"),
        (["explain"], "--config FILE"),
    ],
)
def test_what_is_mistyped_is_answered_with_the_nearest(arguments, hint, capsys):
    text = shown(arguments, capsys, status=2)
    assert hint in text
    assert text.startswith("usage: jaxcf")


@pytest.mark.parametrize(("name", "hint"), [("adlut", "adult"), ("mnst", "mnist")])
def test_a_mistyped_data_set_is_answered_with_the_nearest(name, hint, capsys):
    assert cli.main(["explain", name]) == 1
    assert f"did you mean {hint}?" in capsys.readouterr().err


# --- completion ------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_scripts_are_scripts_of_their_shell(shell, capsys):
    pytest.importorskip("shtab", reason="shtab isn't installed: pip install 'jaxcf[completion]'")
    script = shown(["--print-completion", shell], capsys)
    for name in (*COMMANDS, "weight-rounds"):
        assert name in script
    if shell != "tcsh" and shutil.which(shell):  # tcsh can't check without running
        subprocess.run([shell, "-n"], input=script, text=True, check=True)


@pytest.mark.parametrize(
    ("words", "completions"),
    [
        (["e"], ["evaluate", "explain"]),
        (["explain", "d"], ["digits"]),
        (["explain", "t"], ["table.csv"]),
        (["explain", "digits", "--weight-"], ["--weight-growth", "--weight-rounds"]),
        (["explain", "digits", "--preset", "rep"], ["report", "report-text"]),
        (["explain", "--config", "t"], ["table.csv", "table.txt"]),
        (["evaluate", "--js"], ["--json"]),
    ],
)
@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not here")
def test_bash_completes(words, completions, tmp_path, capsys):
    pytest.importorskip("shtab", reason="shtab isn't installed: pip install 'jaxcf[completion]'")
    for name in ("table.csv", "table.txt"):
        (tmp_path / name).touch()
    script = shown(["--print-completion", "bash"], capsys)
    ask = f"""
COMP_WORDS=(jaxcf {shlex.join(words)}); COMP_CWORD={len(words)}
_shtab_jaxcf; printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash"], input=script + ask, text=True, capture_output=True, check=True)
    assert sorted(done.stdout.split()) == completions


def test_without_shtab_the_error_says_how_to_get_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert cli.main(["--print-completion", "bash"]) == 1
    assert "pip install 'jaxcf[completion]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["info", "--json"], 0, '"versions"'),
        (["info", "no/such/run"], 1, "jaxcf: error: "),
        (["nothing"], 2, "there is no command 'nothing'"),
        (["--version"], 0, __version__),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_all_of_it_is_written_before_the_process_ends(arguments, status, said):
    code = "from jaxcf.cli.main import script; script()"
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert said in (done.stdout if status == 0 else done.stderr)
    if arguments[-1] == "--json":
        assert json.loads(done.stdout)
    # Who reads may go early, as `head` does.
    reader = f"{shlex.join(command)} | head -c 1 > /dev/null; echo ${{PIPESTATUS[0]}}"
    piped = subprocess.run(["bash", "-c", reader], capture_output=True, text=True, check=False)
    assert "Traceback" not in piped.stderr

"""Every target that one machine can be held to: reached, or missed by how much.

    python -m benchmarks.targets [--quick] [--data-dir DIR] [--out DIR] [--only NAME ...]

Runs the benchmarks that need nothing but jaxcf (`latency`, `limit`, `scaling`, `steps`, `jobs`,
`rule_sets`), each in a process of its own, and sets what they measured beside what was aimed at.
`DIR/NAME.json` keeps each; one that is there isn't run again: remove it to have it anew. Twenty
minutes of two cores, which nothing else should use. `DIR/targets.md` holds the table. What needs
other tools (`peers`, `tables`, `alibi_tables`), hours (`judged`) or an accelerator (`accelerator`,
`natural`) says in its own section of README.md how far it came. `--quick` runs all of it small, on
embedded data: it shows that the command works, and no verdict of it counts.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import common
from jaxcf.utils.files import write_atomically

Document = Mapping[str, Any]
"""What a benchmark wrote."""

# Beyond what a repeat of the same run gives.
_NOISE = 0.02


@dataclass(frozen=True)
class Target:
    """What is aimed at.

    Attributes:
        name: in the table.
        benchmark: that measures it.
        value: of what the benchmark wrote; None where it wasn't measured.
        aim: the number.
        at_least: whether it is the least that is asked for; else it is the most.
    """

    name: str
    benchmark: str
    value: Callable[[Document], float | None]
    aim: float
    at_least: bool = False

    def verdict(self, value: float | None) -> str:
        """Reached, or missed by which share of the aim.

        Examples:
            >>> target = Target("seconds", "latency", lambda document: None, 10.0)
            >>> target.verdict(8.0), target.verdict(10.1), target.verdict(12.0)
            ('reached', 'reached, within noise', 'missed by 20 %')
            >>> target.verdict(None)
            'not measured'
        """
        if value is None:
            return "not measured"
        over = self.aim - value if self.at_least else value - self.aim
        if over <= 0:
            return "reached"
        if not self.aim:
            return f"missed by {value:g}"
        share = over / self.aim
        return "reached, within noise" if share <= _NOISE else f"missed by {100 * share:.0f} %"


class _Benchmark(NamedTuple):
    """How a benchmark is run.

    Attributes:
        arguments: besides `--json`.
        needs_data: whether it takes `--data-dir`.
    """

    arguments: tuple[str, ...] = ()
    needs_data: bool = True


_BENCHMARKS = {
    "latency": _Benchmark(),
    "limit": _Benchmark(),
    "scaling": _Benchmark(("--rows", "1000", "10000", "100000", "--lanes", "256")),
    "steps": _Benchmark(("--n", "9000")),
    "jobs": _Benchmark(needs_data=False),
    "rule_sets": _Benchmark(needs_data=False),
}


def _command(name: str, key: str) -> Callable[[Document], float | None]:
    def value(document: Document) -> float | None:
        rows = {row["command"]: row for row in document["commands"]}
        return rows[name][key] if name in rows else None

    return value


def _today(task: str, key: str, *, ratio: bool) -> Callable[[Document], float | None]:
    """Of the search of today, or its ratio to that before it."""

    def value(document: Document) -> float | None:
        rows = {row["search"]: row[key] for row in document["rows"] if row["task"] == task}
        if not rows:
            return None
        return rows["now"] / rows["before"] if ratio else rows["now"]

    return value


def _growth(key: str) -> Callable[[Document], float | None]:
    return lambda document: max(row[key] for row in document["growth"])


def _only(key: str) -> Callable[[Document], float | None]:
    return lambda document: document["rows"][0][key]


def _first_to_second(document: Document) -> float:
    cold, warm = (
        _command(f"jaxcf explain digits{after}", "first_call")(document)
        for after in (", nothing compiled", "")
    )
    assert cold is not None
    assert warm is not None
    return warm / cold


def _of_both(document: Document) -> float:
    row = document["rows"][0]
    return row["break_a_rule"] + row["break_a_relation"]


_TASKS = ("mnist, D", "mnist, near", "breast_cancer", "adult")

TARGETS = (
    Target(
        "`jaxcf explain mnist --guide none`, the whole command, s",
        "latency",
        _command("jaxcf explain mnist --guide none", "seconds"),
        40.0,
    ),
    Target("`jaxcf --help`, s", "latency", _command("jaxcf --help", "seconds"), 0.3),
    Target(
        "`jaxcf explain digits`, processor s",
        "latency",
        _command("jaxcf explain digits", "processor_seconds"),
        4.0,
    ),
    Target(
        "the same with nothing compiled, processor s",
        "latency",
        _command("jaxcf explain digits, nothing compiled", "processor_seconds"),
        12.0,
    ),
    Target(
        "its first call (prototypes, compilation, search), s",
        "latency",
        _command("jaxcf explain digits, nothing compiled", "first_call"),
        10.0,
    ),
    Target("the first call of the second process to that", "latency", _first_to_second, 0.5),
    Target("one row: the search to a bare loop", "latency", _only("search_over_loop"), 1.2),
    Target(
        "one lane-step of the best group, ms",
        "limit",
        lambda document: min(row["milliseconds_per_lane_step"] for row in document["rows"]),
        0.10,
    ),
    Target(
        "share of what matrix products would allow",
        "limit",
        lambda document: document["limit"]["share_of_limit"],
        0.38,
        at_least=True,
    ),
    Target(
        "engine efficiency, `report` preset",
        "limit",
        lambda document: document["engine"]["efficiency"],
        0.9,
        at_least=True,
    ),
    Target("seconds per row, ten times the rows", "scaling", _growth("seconds_per_instance"), 1.05),
    Target("memory, ten times the rows", "scaling", _growth("peak_memory"), 1.05),
    *(
        Target(f"{what} to 0.1.0's: {task}", "steps", _today(task, key, ratio=True), aim)
        for key, what, aim in (
            ("steps", "updates", 0.5),
            ("l2", "L2", 1.0),
            ("objective", "objective", 1.0),
        )
        for task in _TASKS
    ),
    Target(
        "Adult, a network: rows per second",
        "steps",
        _today("adult", "rows_per_second", ratio=False),
        10_000,
        at_least=True,
    ),
    Target("a job of a million rows, s", "jobs", _only("seconds"), 300.0),
    Target(
        "its memory at most, MB",
        "jobs",
        lambda document: max(size for _, size in document["rows"][0]["memory"]),
        1073.7,
    ),
    Target("its rate to that of one call", "jobs", _only("share"), 0.95, at_least=True),
    Target("found rows that break a rule or relation, of 10,000 sets", "rule_sets", _of_both, 0),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what wasn't run, judge, print, write.

    Args:
        arguments: without the program's name; None takes those of the process.
    """
    options = _options(arguments)
    for name in options.only:
        _run(name, options)
    documents = {
        name: json.loads(path.read_text(encoding="utf-8"))
        for name in _BENCHMARKS
        if (path := _file(options, name)).exists()
    }
    lines = table(documents)
    title = "a trial: no verdict of it counts" if options.quick else "targets"
    common.print_table(title, lines[0], lines[1:])
    text = markdown(lines, documents)
    write_atomically(options.out / "targets.md", lambda file: file.write(text.encode()))


def table(documents: Mapping[str, Document]) -> list[tuple[str, ...]]:
    """All targets of the benchmarks that were run, with what was reached.

    Args:
        documents: what each benchmark wrote, by its name.

    Returns:
        The heads, then a line per target.
    """
    lines = [("", "aim", "reached", "verdict", "benchmark")]
    for target in TARGETS:
        document = documents.get(target.benchmark)
        value = None if document is None else target.value(document)
        sign = "≥" if target.at_least else "≤"
        lines.append(
            (
                target.name,
                f"{sign} {target.aim:g}",
                common.text(value, ".4g"),
                target.verdict(value),
                target.benchmark,
            )
        )
    return lines


def markdown(lines: Sequence[Sequence[str]], documents: Mapping[str, Document]) -> str:
    """The table as README.md has it, and what it was measured on.

    Args:
        lines: of `table`.
        documents: by the name of the benchmark.
    """
    machines = {
        ", ".join(f"{one['machine'][key]}" for key in ("processor", "cores", "device", "jax"))
        for one in documents.values()
    }
    measured_on = "; ".join(sorted(machines))
    return f"{common.markdown_table(lines[0], lines[1:])}\n\n{measured_on}\n"


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small, on embedded data")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="of MNIST and Adult")
    parser.add_argument("--out", type=Path, default=Path("runs/targets"), metavar="DIR")
    parser.add_argument("--only", nargs="+", choices=_BENCHMARKS, default=list(_BENCHMARKS))
    options = parser.parse_args(arguments)
    options.out /= "quick" if options.quick else "whole"
    return options


def _file(options: argparse.Namespace, name: str) -> Path:
    return options.out / f"{name}.json"


def _run(name: str, options: argparse.Namespace) -> None:
    path, benchmark = _file(options, name), _BENCHMARKS[name]
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", f"benchmarks.{name}", "--json", str(path.absolute())]
    command += ["--quick"] if options.quick else benchmark.arguments
    if benchmark.needs_data and options.data_dir is not None and not options.quick:
        command += ["--data-dir", str(options.data_dir.absolute())]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[1])


if __name__ == "__main__":
    main()

"""Targets: each is judged by what its benchmark wrote, and none that is missed passes."""

import pytest

from benchmarks import targets

MACHINE = {"machine": {"processor": "P", "cores": 2, "device": "cpu", "jax": "0"}}
TASKS = ("mnist, D", "mnist, near", "breast_cancer", "adult")
DOCUMENTS = {
    "latency": {
        "commands": [
            {"command": "jaxcf --help", "seconds": 0.1},
            {"command": "jaxcf explain digits, nothing compiled", "processor_seconds": 10.0,
             "first_call": 4.0},
            {"command": "jaxcf explain digits", "processor_seconds": 5.0, "first_call": 1.0},
        ],
        "rows": [{"search_over_loop": 1.5}],
    },
    "limit": {
        "rows": [{"milliseconds_per_lane_step": 0.2}, {"milliseconds_per_lane_step": 0.09}],
        "limit": {"share_of_limit": 0.3},
        "engine": {"efficiency": 1.0},
    },
    "scaling": {
        "growth": [
            {"seconds_per_instance": 1.0, "peak_memory": 1.2},
            {"seconds_per_instance": 0.9, "peak_memory": 1.0},
        ]
    },
    "steps": {
        "rows": [
            {"task": task, "search": when, "steps": steps, "l2": 1.0, "objective": 2.0,
             "rows_per_second": 4000.0}
            for task in TASKS
            for when, steps in (("before", 20), ("now", 5))
        ]
    },
    "jobs": {"rows": [{"seconds": 200.0, "share": 0.9, "memory": [[0.5, 900.0], [1.0, 800.0]]}]},
    "rule_sets": {"rows": [{"break_a_rule": 0, "break_a_relation": 2}]},
}  # fmt: skip


@pytest.fixture(scope="module")
def verdicts():
    lines = targets.table({name: one | MACHINE for name, one in DOCUMENTS.items()})
    return {line[0]: line[1:] for line in lines[1:]}


@pytest.mark.parametrize(
    ("name", "value", "verdict"),
    [
        ("`jaxcf --help`, s", "0.1", "reached"),
        ("`jaxcf explain digits`, processor s", "5", "missed by 25 %"),
        ("the first call of the second process to that", "0.25", "reached"),
        ("one lane-step of the best group, ms", "0.09", "reached"),
        ("share of what matrix products would allow", "0.3", "missed by 21 %"),
        ("memory, ten times the rows", "1.2", "missed by 14 %"),
        ("updates to 0.1.0's: adult", "0.25", "reached"),
        ("L2 to 0.1.0's: mnist, D", "1", "reached"),
        ("Adult, a network: rows per second", "4000", "missed by 60 %"),
        ("its memory at most, MB", "900", "reached"),
        ("its rate to that of one call", "0.9", "missed by 5 %"),
        ("found rows that break a rule or relation, of 10,000 sets", "2", "missed by 2"),
        ("`jaxcf explain mnist --guide none`, the whole command, s", "-", "not measured"),
    ],
)
def test_a_target_is_judged_by_what_was_measured(verdicts, name, value, verdict):
    assert verdicts[name][1:3] == (value, verdict)


def test_what_was_not_run_is_not_judged():
    assert {line[3] for line in targets.table({})[1:]} == {"not measured"}


def test_the_page_says_what_it_was_measured_on():
    documents = {name: one | MACHINE for name, one in DOCUMENTS.items()}
    text = targets.markdown(targets.table(documents), documents)
    assert text.endswith("P, 2, cpu, 0\n")
    assert text.count("\n| ") == len(targets.TARGETS) + 1


def test_a_benchmark_that_is_there_is_not_run_again(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(targets.subprocess, "run", lambda *_, **__: pytest.fail("was run"))
    folder = tmp_path / "whole"
    folder.mkdir()
    (folder / "rule_sets.json").write_text(
        targets.json.dumps(DOCUMENTS["rule_sets"] | MACHINE), encoding="utf-8"
    )
    targets.main(["--out", str(tmp_path), "--only", "rule_sets"])
    assert "missed by 2" in (folder / "targets.md").read_text(encoding="utf-8")
    assert "not measured" in capsys.readouterr().out

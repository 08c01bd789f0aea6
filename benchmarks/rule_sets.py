"""Whether counterfactuals ever break a rule: random rules of each row's own, random relations.

    python -m benchmarks.rule_sets [--quick] [--json FILE] [--sets 10000] [--seed 0]

A made-up table with whole numbers, decimals, a special code, categories and an order, whose
training rows keep to five relations. Every row has rules of its own, drawn by chance, and every
call some of the relations. What is found is checked from the columns alone, by nothing that
jaxcf checks by.
"""

import argparse
import time
from collections import Counter
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import common
from jaxcf import Status
from jaxcf.tabular import Relation, Rule, Schema, TableExplainer

CODE = -8
JOBS = ("clerk", "pilot", "sailor")
GRADES = ("A", "B", "C")
ROWS = 250


def made_up(rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
    """A table that keeps to all relations."""
    good, job = rng.integers(0, 20, n), rng.choice(JOBS, n)
    rent, food = rng.normal(50, 10, n).round(2), rng.normal(30, 5, n).round(2)
    return {
        "good": good,
        "lines": good + rng.integers(0, 10, n),
        "rent": rent,
        "food": food,
        "spent": (rent + food).round(2),
        "months": np.where(rng.random(n) < 0.2, CODE, rng.integers(0, 60, n)),
        "job": job,
        "age": np.where(job == "pilot", rng.integers(21, 60, n), rng.integers(16, 60, n)),
        "grade": np.where(job == "clerk", "A", rng.choice(GRADES, n)),
    }


def holds(table: Any) -> dict[str, np.ndarray]:
    """Which rows keep to each relation, from the columns alone."""
    return {
        "good <= lines": table["good"] <= table["lines"],
        "spent == rent + food": np.abs(table["spent"] - table["rent"] - table["food"]) < 1e-7,
        "2 * good + months <= 95": (2 * table["good"] + table["months"] <= 95)
        | (table["months"] == CODE),
        "if job = pilot then age >= 21": (table["job"] != "pilot") | (table["age"] >= 21),
        "if grade >= B then job != clerk": (table["grade"] == "A") | (table["job"] != "clerk"),
    }


def rules_of(rng: np.random.Generator, table: Any) -> dict[str, Rule]:
    """Rules by chance, of each row its own."""
    n, rules = len(table["good"]), {}
    for name, column in table.items():
        kind = rng.integers(0, 9, n)
        if column.dtype.kind == "U":
            names = GRADES if name == "grade" else JOBS
            allowed = rng.random((n, len(names))) < 0.7
            allowed[kind > 3] = True
            rules[name] = Rule(frozen=kind == 0, allowed=allowed, move_in=kind == 1)
            continue
        numbers = column[column != CODE]
        ends = np.sort(rng.choice(numbers, (2, n)), axis=0).astype(float)
        ends[0, (kind != 3) & (kind != 4)], ends[1, (kind != 4) & (kind != 5)] = -np.inf, np.inf
        step = np.where(kind == 6, 5.0, 0.0)
        rules[name] = Rule(
            lower=ends[0],
            upper=ends[1],
            frozen=kind == 0,
            increase_only=kind == 1,
            decrease_only=kind == 2,
            step=step,
            move_in=rng.random(n) < 0.5,
        )
    return rules


def broken_rules(rules: dict[str, Rule], before: Any, after: Any) -> np.ndarray:
    """Which rows break a rule, from the columns alone."""
    broken = np.zeros(len(before["good"]), bool)
    for name, rule in rules.items():
        old, new = np.asarray(before[name]), np.asarray(after[name])
        changed = old != new
        broken |= changed & np.asarray(rule.frozen)
        if old.dtype.kind in "UO":
            names = np.array(GRADES if name == "grade" else JOBS)
            assert isinstance(rule.allowed, np.ndarray)
            broken |= ~rule.allowed[np.arange(len(new)), (new[:, None] == names).argmax(axis=1)]
            continue
        number = (old != CODE) & (new != CODE)
        broken |= number & np.asarray(rule.increase_only) & (new < old)
        broken |= number & np.asarray(rule.decrease_only) & (new > old)
        broken |= (new != CODE) & ((new < rule.lower) | (new > rule.upper))
        own = 0.01 if old.dtype.kind == "f" else 1
        step = np.where(np.asarray(rule.step) > 0, rule.step, own)
        broken |= changed & (np.abs(new / step - np.round(new / step)) > 1e-6)
        broken |= (old != CODE) & (new == CODE)
    return broken


def predict(x: Any) -> Any:
    """A model with a say in every column."""
    weights = jnp.array(np.random.default_rng(3).normal(0, 2, x.shape[1]), jnp.float32)
    score = (x - 0.4) @ weights + 2 * jnp.sin(5 * x[:, 0] * x[:, 4]) - 0.5 * x[:, 5]
    return jax.nn.softmax(jnp.stack([-score, score], axis=1))


def main() -> None:
    """Draw, explain, check, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few rule sets")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the counts")
    parser.add_argument("--sets", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    options = common.quickly(parser.parse_args(), sets=500)
    began = time.perf_counter()
    statuses, rules, relations = count(options.sets, options.seed)
    row = {
        "rule_sets": sum(statuses.values()),
        "seconds": time.perf_counter() - began,
        **statuses,
        "break_a_rule": rules,
        "break_a_relation": sum(relations.values()),
        **{f"break {name}": broken for name, broken in relations.items()},
    }
    common.print_table(
        "found rows against rules and relations",
        ("", "value"),
        [(name, f"{value:.6g}") for name, value in row.items()],
    )
    if options.json is not None:
        common.write(options.json, [row])


def count(sets: int, seed: int, rows: int = ROWS) -> tuple[Counter[str], int, Counter[str]]:
    """Explain rows under so many rule sets.

    Args:
        sets: how many, at least.
        seed: of all that is drawn.
        rows: explained together; they share their relations.

    Returns:
        How many rows have ended how; how many found ones break a rule; and each relation.
    """
    rng = np.random.default_rng(seed)
    train = made_up(rng, 600)
    schema = Schema.infer(train, ordinal={"grade": GRADES}, special={"months": [CODE]})
    fitted = TableExplainer(predict, schema).fit(train)
    statuses: Counter[str] = Counter()
    by_relation: Counter[str] = Counter()
    broken = 0
    for _ in range(-(-sets // rows)):
        table = made_up(rng, rows)
        for name in ("lines", "age"):  # some break relations as they are
            table[name] = np.where(rng.random(rows) < 0.05, 17, table[name])
        names = [name for name in holds(table) if rng.random() < 0.6]
        relations = [Relation(name, move_in=rng.random() < 0.5) for name in names]
        rules = rules_of(rng, table)
        answers = fitted.explain(table, rules=rules, relations=relations)
        found, after = answers.found, answers.counterfactual
        broken += int(broken_rules(rules, table, after)[found].sum())
        for name, kept in holds(after).items():
            if name in names:
                by_relation[name] += int((~kept)[found].sum())
        statuses.update(Status(one).name.lower() for one in answers.status.tolist())
    return statuses, broken, by_relation


if __name__ == "__main__":
    main()

"""Random rules and relations: none is broken, and a broken one would be seen."""

from dataclasses import replace

import numpy as np

from benchmarks.rule_sets import broken_rules, count, holds, made_up
from jaxcf.tabular import Rule


def test_no_rule_and_no_relation_is_broken():
    statuses, broken, by_relation = count(100, seed=1, rows=100)
    assert broken == 0
    assert by_relation
    assert not sum(by_relation.values())
    assert statuses["found"] > 5 * statuses["not_found"]


def test_what_is_broken_is_seen():
    table = made_up(np.random.default_rng(0), 20)
    assert all(kept.all() for kept in holds(table).values())
    moved = table | {"lines": table["good"] - 1, "spent": table["spent"] + 0.01}
    assert not any(holds(moved)[name].any() for name in ("good <= lines", "spent == rent + food"))
    free = Rule(lower=-np.inf, upper=np.inf)
    rules = {
        "lines": replace(free, increase_only=True),
        "spent": replace(free, step=0.5),
        "age": replace(free, upper=9),
    }
    for name in rules:
        assert broken_rules({name: rules[name]}, table, moved).mean() > 0.8

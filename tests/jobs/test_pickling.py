"""What travels to workers can be pickled with the standard library; a factory makes what can't."""

import pickle
from functools import partial
from typing import Any

import jax
import numpy as np
import pytest

from jaxcf import EngineOptions, Explainer, SearchOptions, jobs
from jaxcf.jobs import Job, JobInterrupted, JobOptions
from jaxcf.tabular import Numeric, Rule, Schema, TableExplainer

WEIGHTS = np.array([[4.0, -4.0], [1.0, -1.0]], np.float32)
X = np.random.default_rng(0).uniform(-1, 1, (8, 2)).astype(np.float32)
TABLE = {"age": [20, 30, 50, 60], "pay": [9.5, 8.5, 2.5, 1.5]}
LAYOUT = EngineOptions(lanes=4, lanes_per_group=4)
SMALL = SearchOptions(max_steps=20)


def predict(x):
    return jax.nn.softmax(x @ WEIGHTS)


def predict_pay(x):
    return jax.nn.softmax((x - 0.5) @ WEIGHTS)


def fitted_explainer(scale):
    """What a worker makes of a model that can't travel itself."""

    def inner(x):
        return jax.nn.softmax(scale * (x @ WEIGHTS))

    return Explainer(inner, engine=LAYOUT, search=SMALL).fit(X)


def test_an_explainer_that_travelled_goes_on_with_the_job(tmp_path):
    fitted = Explainer(predict, engine=LAYOUT, search=SMALL).fit(X)
    task = partial(jobs.run, fitted, X, tmp_path, options=JobOptions(rows_per_unit=4))
    assert task(shard=(1, 2)).missing()
    job = pickle.loads(pickle.dumps(task))(shard=(2, 2))
    assert job.complete
    assert pickle.loads(pickle.dumps(job)).load().found.any()


def test_an_explainer_of_a_table_travels_as_well(tmp_path):
    schema = Schema((Numeric("age", 18, 70, step=1.0), Numeric("pay", 0, 10, step=0.1)))
    explainer = TableExplainer(predict_pay, schema, engine=LAYOUT, search=SMALL)
    question: dict[str, Any] = {"rules": {"age": Rule(increase_only=True)}}
    question["relations"] = ["pay <= age"]
    fitted = explainer.fit(TABLE)
    half = partial(jobs.run, options=JobOptions(rows_per_unit=2), **question)
    half(fitted, TABLE, tmp_path, shard=(1, 2))
    again = pickle.loads(pickle.dumps((half, fitted)))
    assert again[0](again[1], TABLE, tmp_path).complete
    assert jobs.check(again[1], TABLE, tmp_path, **question).holds
    with pytest.raises(ValueError, match=r"question\.relations"):
        jobs.run(fitted, TABLE, tmp_path, rules=question["rules"])


def test_a_factory_makes_what_cannot_travel(tmp_path):
    with pytest.raises((AttributeError, pickle.PicklingError), match="local"):
        pickle.dumps(fitted_explainer(2.0))
    task = partial(jobs.run, partial(fitted_explainer, 2.0), X, tmp_path)
    assert pickle.loads(pickle.dumps(task))().complete


def test_an_interrupt_travels_with_its_job(tmp_path):
    job = jobs.run(partial(fitted_explainer, 2.0), X, tmp_path)
    error = pickle.loads(pickle.dumps(JobInterrupted(job, 15)))
    assert (error.signal, error.job.path) == (15, Job.open(tmp_path).path)
    with pytest.raises(ValueError, match="only the process"):
        error.explanations()

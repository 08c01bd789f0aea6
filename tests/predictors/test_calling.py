"""How a function outside JAX is called: by one thread at a time, few rows with one of OpenMP's."""

import functools
import pickle
import threading
from dataclasses import replace

import numpy as np
import pytest
from boxes import boxed, plain
from helpers import assert_same_answers, mlp
from threadpoolctl import ThreadpoolController, threadpool_limits

from jaxcf import BlackBox, CentralDifferences, ExactJacobian
from jaxcf.predictors.blackbox import Failures


class Meeting:
    """Where two threads meet if both are let in; the first that comes waits for a moment."""

    def __init__(self):
        self._barrier = threading.Barrier(2)
        self.met = False

    def __call__(self):
        try:
            self._barrier.wait(timeout=0.1)
            self.met = True
        except threading.BrokenBarrierError:
            pass


meeting = Meeting()


def predict(x):
    meeting()
    return np.full((len(x), 2), 0.5)


@functools.wraps(predict)
def logged(x):
    return predict(x)


def in_threads(*tasks):
    threads = [threading.Thread(target=task) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def jacobian(x):
    return predict(x), np.zeros((len(x), 2, *x.shape[1:]))


def test_one_function_is_entered_once_at_a_time(monkeypatch):
    x = np.zeros((3, 2), np.float32)
    box = BlackBox(predict, 2)
    exact = BlackBox(predict, 2, ExactJacobian(jacobian))
    others = [BlackBox(predict, 2, retries=0), pickle.loads(pickle.dumps(box)), BlackBox(logged, 2)]
    for other in others:
        monkeypatch.setattr("test_calling.meeting", Meeting())
        in_threads(*(lambda one=one: one.ask(x, Failures()) for one in (box, other)))
        assert not meeting.met
    monkeypatch.setattr("test_calling.meeting", Meeting())
    in_threads(lambda: box.ask(x, Failures()), lambda: exact.call(jacobian, x))
    assert not meeting.met
    # As the threads would have met, had nobody kept them apart.
    monkeypatch.setattr("test_calling.meeting", Meeting())
    in_threads(lambda: predict(x), lambda: predict(x))
    assert meeting.met


def test_two_explainers_of_one_function_take_turns():
    fitted, model = boxed(mlp())
    expected = fitted.explain(mlp().x)
    other = replace(mlp().explainer(), predict=BlackBox(model, 3, CentralDifferences(2e-3)))
    other = other.fit(mlp().x_train)
    here = Meeting()
    model._fault = lambda x, probabilities: (here(), probabilities)[1]
    answers = []
    in_threads(lambda: answers.append(fitted.explain(mlp().x)), lambda: other.explain(mlp().x))
    assert not here.met
    assert_same_answers(plain(answers[0]), plain(expected))


def openmp_threads():
    # The library of scikit-learn's own, loaded with its trees.
    import sklearn.ensemble  # noqa: F401

    libraries = ThreadpoolController().select(user_api="openmp").lib_controllers
    return {library.num_threads for library in libraries}


def test_openmp_is_held_to_one_thread_for_few_rows_and_let_go_again():
    seen = []

    def asked(x):
        seen.append(openmp_threads())
        if x[0, 0] < 0:
            raise ArithmeticError
        return np.full((len(x), 2), 0.5)

    openmp_threads()
    box = BlackBox(asked, 2)
    with threadpool_limits(limits=2, user_api="openmp"):
        box.probabilities(np.zeros((100, 1), np.float32))
        assert openmp_threads() == {2}
        with pytest.raises(ArithmeticError):
            box.probabilities(np.full((100, 1), -1, np.float32))
        assert openmp_threads() == {2}
        box.probabilities(np.zeros((10_000, 1), np.float32))
    assert seen == [{1}, {1}, {2}]

"""Services that are gone for a while: waited for, asked again, and every prediction counted."""

from dataclasses import replace

import pytest
from boxes import Counting, boxed, plain
from helpers import assert_same_answers, mlp

from jaxcf import BlackBox, EngineOptions, ExplanationInterrupted, Status
from jaxcf.predictors import blackbox


@pytest.fixture
def waits(monkeypatch):
    """The seconds that were waited for, without a wait."""
    seconds = []
    monkeypatch.setattr(blackbox.time, "sleep", seconds.append)
    return seconds


def fitted_service(gone=(), lanes=4, **options):
    """A fitted explainer of a service that raises for some calls after `fit`; and the service."""
    service = Counting(mlp().predict)

    def fault(x, probabilities):
        if len(service.calls) in gone:
            raise ConnectionError("no route")
        return probabilities

    explainer = mlp().explainer(engine=EngineOptions(lanes=lanes))
    fitted = replace(explainer, predict=BlackBox(service, 3, **options)).fit(mlp().x_train)
    service.calls.clear()
    service._fault = fault
    return fitted, service


@pytest.mark.parametrize(
    ("lost", "waited", "warned"), [(1, [], 0), (5, [1.0, 2.0], 1)], ids=["one call", "a moment"]
)
def test_a_moment_without_answers_costs_no_row(lost, waited, warned, waits, recwarn):
    fitted, service = fitted_service(range(6, 6 + lost))
    result = fitted.explain(mlp().x)
    assert_same_answers(plain(result), plain(boxed(mlp())[0].explain(mlp().x)))
    assert waits == waited
    assert len(recwarn) == warned
    if warned:
        said = "predict raised ConnectionError: no route, also for a row that was answered before"
        assert said in str(recwarn[0].message)
    assert result.scores["predictions"].sum() == service.rows


@pytest.mark.parametrize("first", [1, 6], ids=["from the start", "in the search"])
@pytest.mark.filterwarnings("ignore:predict raised ConnectionError:RuntimeWarning")
def test_rows_that_an_outage_has_cost_are_searched_again_at_the_end(first, waits):
    fitted, service = fitted_service(range(first, first + 5), lanes=2, retries=1, backoff=0.5)
    result = fitted.explain(mlp().x)
    assert waits == [0.5]
    assert_same_answers(plain(result), plain(boxed(mlp())[0].explain(mlp().x)))
    assert result.scores["predictions"].sum() == service.rows


def test_a_service_that_stays_away_is_given_up_soon(waits):
    fitted, service = fitted_service(range(6, 10_000), retries=2)
    with pytest.warns(RuntimeWarning, match="predict raised ConnectionError") as warned:
        result = fitted.explain(mlp().x)
    assert len(warned) == 2
    assert set(result.status) <= {Status.MODEL_NOT_FINITE, Status.NOT_CONFIRMED}
    # In the search, and once more at the end.
    assert waits == [1.0, 2.0] * 2
    assert len(service.calls) < 30
    assert result.scores["predictions"].sum() == service.rows


def test_a_service_that_comes_and_goes_is_not_waited_for_for_ever(waits):
    gone = [call for call in range(20_000) if call % 7 > 2]
    fitted, _ = fitted_service(gone, lanes=1)
    with pytest.warns(RuntimeWarning, match="predict raised ConnectionError"):
        fitted.explain(mlp().x)
    assert waits.count(1.0) <= 10


def test_a_row_that_is_at_fault_itself_is_not_waited_for(waits):
    fitted, service = fitted_service()

    def fault(x, probabilities):
        if (x[:, 0] > 0.9999).any():
            raise ConnectionError("no such row")
        return probabilities

    service._fault = fault
    x = mlp().x[:1].copy()
    x[0, 0] = 1.0
    with pytest.warns(RuntimeWarning, match="no such row"):
        result = fitted.explain(x)
    assert result.status[0] == Status.MODEL_NOT_FINITE
    # Twice, and a training row in between.
    assert waits == []
    assert len(service.calls) == 3


def test_without_retries_a_call_is_halved_at_once(waits):
    fitted, service = fitted_service([1], retries=0)
    result = fitted.explain(mlp().x)
    assert service.calls[:3] == [6, 3, 3]
    assert waits == []
    assert_same_answers(plain(result), plain(boxed(mlp())[0].explain(mlp().x)))


@pytest.mark.filterwarnings("ignore:predict raised ConnectionError:RuntimeWarning")
def test_ctrl_c_ends_a_wait(monkeypatch):
    def interrupted(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(blackbox.time, "sleep", interrupted)
    fitted, _ = fitted_service(range(6, 10_000))
    with pytest.raises(ExplanationInterrupted) as raised:
        fitted.explain(mlp().x)
    assert (raised.value.explanations.status == Status.INTERRUPTED).any()

"""How the search for a row ended, as a number and in words."""

from enum import IntEnum


class Status(IntEnum):
    """How the search for one row ended. `message` says it in words."""

    FOUND = 0
    NOT_FOUND = 1
    NEVER_MOVED = 2
    ALREADY_IN_TARGET = 3
    INVALID_INPUT = 4
    OUT_OF_RANGE = 5
    NO_PROTOTYPE = 6
    MODEL_NOT_FINITE = 7
    NOT_CONFIRMED = 8
    INTERRUPTED = 9
    UNKNOWN_TARGET = 10
    NOTHING_MAY_CHANGE = 11
    GUIDE_NOT_CONVINCED = 12
    NO_OTHER = 13
    RUNNING = 100
    IDLE = 101

    @property
    def message(self) -> str:
        """The status in one sentence."""
        return _MESSAGES[self]


GIVEN_BACK = (
    Status.ALREADY_IN_TARGET,
    Status.INVALID_INPUT,
    Status.OUT_OF_RANGE,
    Status.NO_PROTOTYPE,
    Status.UNKNOWN_TARGET,
    Status.NOTHING_MAY_CHANGE,
)
"""Of rows that aren't searched: they are given back as they are."""

_MESSAGES = {
    Status.FOUND: "found: the model decides for a target class",
    Status.NOT_FOUND: "not found: nothing that its range and rules allow changed the decision "
    "before the budget ran out; the point that came nearest to changing it is given",
    Status.NEVER_MOVED: "not found: no feature ever moved: the gradient never overcame the cost of "
    "moving one, or the rules leave none another value that changes the decision; where they do, a "
    "larger prediction_weight, one that grows (weight_growth > 1) or a prototype term may help",
    Status.ALREADY_IN_TARGET: "the model already decides for a requested class",
    Status.INVALID_INPUT: "the row holds NaN or infinite values",
    Status.OUT_OF_RANGE: "the row itself lies outside its range, or has a value that "
    "its rules don't allow",
    Status.NO_PROTOTYPE: "no requested class has a prototype",
    Status.MODEL_NOT_FINITE: "a model returned NaN or infinite values, or no probabilities, for "
    "this row (a black box: or raised, or returned the wrong shape), or a term of one's own did",
    Status.NOT_CONFIRMED: "the decision changed during the search, but not when the "
    "counterfactual was predicted again",
    Status.INTERRUPTED: "the search was interrupted before this row was finished",
    Status.UNKNOWN_TARGET: "the requested class does not exist",
    Status.NOTHING_MAY_CHANGE: "the rules leave no feature anything but its own value",
    Status.GUIDE_NOT_CONVINCED: "not found: the model decides for a target class, but too few "
    "guides agree or are as sure as asked for; the point that came nearest to it is given",
    Status.NO_OTHER: "no other counterfactual was found: all others change the same features in "
    "the same directions as the row's counterfactuals before it",
    Status.RUNNING: "still being searched",
    Status.IDLE: "not started",
}

"""From rows to counterfactuals: one move after another, the one that helps most for its cost."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxcf.explainers.acceptance import Verdicts
from jaxcf.explainers.appraisal import Appraisal
from jaxcf.explainers.candidates import TIE, Moves, Pool, farthest_of, first_largest, true_of

# Of moves weighed before, so many are weighed again at every step.
_WEIGHED_AGAIN = 16

# After so many moves chosen by what they cost, what they gain alone counts.
_MOST_BY_COST = 8

# Moves whose scores differ by this share are equally good.
_AS_GOOD = 0.02

# In units: cheaper moves count as if they cost this.
_LEAST_PRICE = 0.05

# So many other features than the best are tried as the first to move: of 1, 2 and 3 the most that
# take less than a tenth more time on Adult.
_OTHER_BEGINNINGS = 2


class Seen(NamedTuple):
    """What is known of the first moves of some candidates, of which several begin at one row.

    Attributes:
        line: `[c]`, which line of the moves, and of what follows, each candidate has.
        verdicts: `[m, k]`, what the models say of every move.
        added: `[m, k]`, what it costs.
    """

    line: Int[np.ndarray, " c"]
    verdicts: Verdicts
    added: Float[np.ndarray, "m k"]

    def of(self, chosen: np.ndarray) -> tuple[Verdicts, np.ndarray]:
        """Verdicts and costs of some of the candidates, a line each."""
        line = self.line[chosen]
        return Verdicts(*(array[line] for array in self.verdicts)), self.added[line]


def copied(appraisal: Appraisal, goals: Pool) -> Pool:
    """Copy features of other rows, one at a time, until the decision changes.

    Args:
        appraisal: of the rows.
        goals: rows that the models accept, on the rules of their owners.

    Returns:
        Candidates that are accepted, fewer than the goals if need be.
    """
    begin = appraisal.start.of(goals.owner)
    distance = np.abs(goals.point - begin.point) / appraisal.cost.unit
    moves = farthest_of(appraisal.changed(goals), goals.exact, goals.point, distance)
    by_gain = np.full(len(begin), appraisal.cost.by == "sparsest")
    pool, reached = towards(appraisal, goals.owner, moves, by_gain, to_the_end=True)
    return pool.of(np.flatnonzero(reached))


def walked(appraisal: Appraisal, values: Float[np.ndarray, "k features"]) -> Pool:
    """Move one feature at a time to one of a few values.

    What other counterfactuals of the row have changed is left alone where it can be.

    Args:
        appraisal: of the rows.
        values: `[k, features]`, of each feature.
    """
    n, count = len(appraisal.start), len(values)
    moves = _to_values(appraisal, values)
    every = np.arange(n)[:, None]
    may = moves._replace(valid=moves.valid & appraisal.differ(appraisal.start, every, moves))
    known = appraisal.weigh(appraisal.start, may)
    added = appraisal.added(appraisal.start, every, moves)
    # Few large moves end elsewhere than many cheap ones; where features count, few are wanted.
    ways = (True,) if appraisal.cost.by == "sparsest" else (False, True)
    each, turn = np.tile(np.arange(n), len(ways)), np.repeat(ways, n)
    first = np.full(len(each), -1)
    if appraisal.cost.by != "sparsest":
        other, feature = _other_beginnings(appraisal, may, known, added, count)
        each, first = np.append(each, other), np.append(first, feature)
        turn = np.append(turn, np.zeros(len(other), bool))
    line = each
    if appraisal.taken is not None:
        # Every way twice: over features that no other has changed, and over all of them.
        free = np.repeat((appraisal.taken_ways == 0).all(axis=0), count, axis=1)
        twice = np.flatnonzero(first < 0)
        alone = moves._replace(valid=moves.valid & free)
        moves = Moves(*map(np.concatenate, zip(moves, alone, strict=True)))
        lacking = np.where(free, known.lacking, np.inf)
        said = zip(known, (known.accepted & free, lacking), strict=True)
        known, added = Verdicts(*map(np.concatenate, said)), np.tile(added, (2, 1))
        line = np.append(each[twice] + n, each)
        each, turn, first = (np.append(one[twice], one) for one in (each, turn, first))
    seen = Seen(line, known, added)
    pool, reached = towards(
        appraisal, each, moves, turn, width=count, to_the_end=False, seen=seen, first=first
    )
    return pool.of(np.flatnonzero(reached))


def _to_values(appraisal: Appraisal, values: Float[np.ndarray, "k features"]) -> Moves:
    """Every feature of every row to each of some values, those of one feature side by side."""
    (n, d), count = appraisal.start.exact.shape, len(values)
    owner = np.repeat(np.arange(n), count)
    x = appraisal.snapping.each(values.reshape(-1, *appraisal.shape)).reshape(-1, *appraisal.shape)
    options = appraisal.at(owner, appraisal.accepts.by_feature(x, appraisal.rows[owner]))

    def beside(array: np.ndarray) -> np.ndarray:
        return array.reshape(n, count, d).transpose(0, 2, 1)

    exact = beside(options.exact)
    valid = np.ones(exact.shape, bool)
    for later in range(1, count):  # each value once
        valid[..., later] = (exact[..., :later] != exact[..., later : later + 1]).all(axis=-1)
    # As narrow as can be: there are as many as there are values.
    feature = np.repeat(np.arange(d, dtype=np.min_scalar_type(-d)), count)
    flat = (array.reshape(n, -1) for array in (exact, beside(options.point), valid))
    return Moves(np.broadcast_to(feature, (n, d * count)), *flat)


def _other_beginnings(
    appraisal: Appraisal, moves: Moves, known: Verdicts, added: np.ndarray, width: int
) -> tuple[Int[np.ndarray, " b"], Int[np.ndarray, " b"]]:
    """The features next to the best by what they gain for what they cost.

    What helps most at first needn't be part of what is cheapest in the end.

    Args:
        appraisal: of the rows.
        moves: of each row.
        known: what the models say of them.
        added: what they cost.
        width: how many moves next to each other are of one feature.

    Returns:
        Rows, and for each of them a feature.
    """
    lacked = appraisal.lacking[:, None]
    gain = np.fmin(lacked - known.lacking, lacked + TIE)
    score = _scores(gain, added, np.zeros(len(gain), bool))
    score = np.where(moves.valid & (gain > TIE), score, -np.inf)
    best = score.reshape(len(score), -1, width).max(axis=2)
    order = np.argsort(-best, axis=1, kind="stable")[:, 1 : 1 + _OTHER_BEGINNINGS]
    helps = np.isfinite(np.take_along_axis(best, order, axis=1))
    return np.nonzero(helps)[0], order[helps]


def towards(
    appraisal: Appraisal,
    owner: Int[np.ndarray, " c"],
    moves: Moves,
    by_gain: Bool[np.ndarray, " c"],
    *,
    width: int = 1,
    to_the_end: bool,
    seen: Seen | None = None,
    first: Int[np.ndarray, " c"] | None = None,
) -> tuple[Pool, Bool[np.ndarray, " c"]]:
    """Make the best move, again and again, until the decision changes.

    The best is the one that helps most for what it costs, or the one that helps most. After the
    first move only those are weighed again that seemed the best.

    Args:
        appraisal: of the rows.
        owner: `[c]`, the rows at which candidates begin.
        moves: that each may make; with `seen` those that rows may.
        by_gain: `[c]`, for which of them costs don't count; they never do where nothing helps
            for what it costs, nor after several moves.
        width: how many moves next to each other are of one feature.
        to_the_end: whether to go on where no move helps, until all are made.
        seen: what is known of the first moves, if they have been looked at.
        first: `[c]`, which feature the first move is of, -1 for any; None for any.

    Returns:
        Where candidates have ended, and which of them the models accept.
    """
    pool = appraisal.start.of(owner)
    reached = np.zeros(len(pool), bool)
    lacked = appraisal.lacking[owner]
    thorough = np.ones(len(pool), bool)  # all of its moves are weighed this time
    by_gain = by_gain.copy()
    made = np.zeros(len(pool), int)
    active = np.flatnonzero(np.isfinite(lacked))
    may = moves.of(active if seen is None else seen.line[active])
    gains = np.full(may.valid.shape, np.inf)
    # Of what is worth looking at anew a move changes its own feature's, if no others follow.
    differ = may.valid & appraisal.differ(appraisal.start, owner[active][:, None], may)
    known = None
    if seen is None:
        added = appraisal.added(appraisal.start, owner[active][:, None], may)
    else:
        known, added = seen.of(active)
    while len(active):
        now, line = pool.of(active), np.arange(len(active))
        # Beyond the decision nothing helps more.
        most = lacked[active][:, None] + TIE
        weighed = differ.copy()
        some = np.flatnonzero(~thorough[active])
        if len(some):
            score = _scores(np.fmin(gains[some], most[some]), added[some], by_gain[active[some]])
            score = np.where(differ[some], score, -np.inf)
            weighed[some] &= _largest(score, width, _WEIGHED_AGAIN)
        if known is None:
            said = appraisal.weigh(now, may._replace(valid=weighed))
        else:
            said, known = known, None
        gain = lacked[active][:, None] - said.lacking
        gain = np.where(said.accepted, np.fmin(gain, most), gain)
        np.copyto(gains, gain, where=weighed)
        if first is not None:
            begin, first = first[active][:, None], None
            weighed &= (begin < 0) | (may.feature == begin)
        there = (said.accepted & weighed).any(axis=1)
        score = _scores(gain, added, by_gain[active])
        cheapest = np.flatnonzero(there & by_gain[active])
        score[cheapest] = np.where(said.accepted[cheapest], -added[cheapest], -np.inf)
        score[~weighed] = -np.inf
        # Of moves that are as good as the best the one that goes farthest ends soonest.
        best = score.max(axis=1, keepdims=True)
        good = score >= best - _AS_GOOD * np.abs(best)
        which = first_largest(np.where(good, gain, -np.inf))
        helps = (score[line, which] > -np.inf) & (gain[line, which] > TIE)
        stuck = ~helps & thorough[active]
        forced = stuck & by_gain[active] & to_the_end & weighed.any(axis=1)
        moving = helps | forced
        ended = appraisal.made(now, line[moving], may, which[moving])
        pool.exact[active[moving]], pool.point[active[moving]] = ended.exact, ended.point
        won = np.where(moving, gain[line, which], 0)
        lacked[active] -= won
        made[active] += moving
        arrived = moving & said.accepted[line, which]
        reached[active[arrived]] = True
        given_up = stuck & by_gain[active] & ~forced
        thorough[active] = ~moving
        by_gain[active] |= stuck | (made[active] >= _MOST_BY_COST)
        # Where features follow each other, moves may undo each other.
        endless = made[active] > 2 * moves.feature.shape[1]
        on = np.flatnonzero(~arrived & ~given_up & ~endless)
        moved = np.where(moving, may.feature[line, which], -1)[on]
        active, may, won = active[on], may.of(on), won[on]
        gains, differ, added = gains[on], differ[on], added[on]
        anew = may.feature == moved[:, None]
        gains -= np.where(anew, won[:, None], 0)
        if appraisal.accepts.has_relations:
            anew[:] = True
        line, place = true_of(anew)
        its = Moves(*(array[line, place] for array in may))
        differ[line, place] = its.valid & appraisal.differ(pool, active[line], its)
        added[line, place] = appraisal.added(pool, active[line], its)
    return pool, reached


def _scores(gain: np.ndarray, added: np.ndarray, by_gain: np.ndarray) -> np.ndarray:
    """How good moves are: by what they gain, or by that for what they cost."""
    return np.where(by_gain[:, None], gain, gain / np.maximum(added, _LEAST_PRICE))


def _largest(score: np.ndarray, width: int, count: int) -> np.ndarray:
    """The best of each group of so many, where it is among the best groups of its line."""
    groups = score.reshape(len(score), -1, width)
    best = groups.argmax(axis=2)[..., None]
    order = np.argsort(-groups.max(axis=2), axis=1, kind="stable")[:, :count]
    among = np.zeros(groups.shape[:2], bool)
    np.put_along_axis(among, order, True, axis=1)
    chosen = np.zeros(groups.shape, bool)
    np.put_along_axis(chosen, best, among[..., None], axis=2)
    return chosen.reshape(score.shape)

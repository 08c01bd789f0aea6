"""Nearer counterfactuals, feature by feature: from several beginnings, the cheapest end.

Every step asks the models about all rows at once and for decisions only, so it works where there
is no gradient.
"""

import numpy as np
from jaxtyping import Bool, Float

from jaxcf.explainers.appraisal import Appraisal
from jaxcf.explainers.candidates import MOST_WEIGHED, Pool, farthest_of, first_largest, joined
from jaxcf.explainers.refinement import Refinement
from jaxcf.explainers.training_rows import TrainingRows
from jaxcf.explainers.walks import copied, walked
from jaxcf.predictors.trees import Thresholds

# Of each row's candidates so many are shrunk.
_MOST_SHRUNK = 4

# As a share of a threshold: what float32 tells from it, after a scaling or two.
_BESIDE_EDGE = 4e-7


def nearest_answers(
    appraisal: Appraisal,
    answers: Pool,
    training: TrainingRows | None,
    values: Float[np.ndarray, "k features"] | None,
    options: Refinement,
    alternative: int = 0,
) -> Pool:
    """The best counterfactual of each row that has one.

    Candidates are the answer of the search; copies from the nearest training rows; and walks over
    a few values of each feature. Features that aren't needed are put back, and the numbers of the
    best shrunk.

    Args:
        appraisal: of these rows.
        answers: of the search, accepted; not of every row.
        training: the training rows, where they lie in input space.
        values: `[k, features]`, that features are moved to; None for none.
        options: which of it is done.
        alternative: 0 for the first counterfactual of a row; others begin at other training rows.

    Returns:
        At most one candidate per row.
    """
    begun = [answers]
    if training is not None and options.copies:
        begin = appraisal.start
        owner, row = training.nearest(
            begin.point, appraisal.targets, options.copies, alternative * options.copies
        )
        goals = appraisal.stand_for(begin.owner[owner], row)
        goals = appraisal.together(goals, np.zeros(goals.exact.shape, bool))
        goals = goals.of(np.flatnonzero(appraisal.judge(goals).accepted))
        begun.append(copied(appraisal, goals))
        if appraisal.cost.by == "plausible":
            begun.append(goals)
    if values is not None:
        begun.append(walked(appraisal, values))
    pool = joined(*begun)
    if options.sparsify:
        back = put_back(appraisal, pool)
        # What lies among training rows may leave them on its way back.
        pool = joined(pool, back) if appraisal.cost.by == "plausible" else back
    if options.shrink and appraisal.cost.by != "plausible":
        best = appraisal.cheapest(pool, training, _MOST_SHRUNK)
        pool = shrunk(appraisal, best, options.bisections)
        if options.sparsify:
            pool = put_back(appraisal, pool)
    return appraisal.cheapest(pool, training)


def put_back(appraisal: Appraisal, pool: Pool) -> Pool:
    """Put back the feature whose return keeps most, again and again, while the decision holds.

    Of many changed features each is tried once first, the cheapest move first.
    """
    pool = _put_back_in_turn(appraisal, pool.of(np.arange(len(pool))))
    active = np.arange(len(pool))
    while len(active):
        now = pool.of(active)
        changed = appraisal.changed(now)
        several = changed.sum(axis=1) > 1
        active, now, changed = active[several], now.of(several), changed[several]
        if not len(active):
            break
        own = appraisal.start.of(now.owner)
        moves = farthest_of(changed, own.exact, own.point, -appraisal.move_costs(now))
        said = appraisal.weigh(now, moves, fewer=appraisal.accepts.has_relations)
        line = np.flatnonzero(said.accepted.any(axis=1))
        which = first_largest(np.where(said.accepted, -said.lacking, -np.inf))
        ended = appraisal.made(now, line, moves, which[line])
        active = active[line]
        pool.exact[active], pool.point[active] = ended.exact, ended.point
    return pool


def _put_back_in_turn(appraisal: Appraisal, pool: Pool) -> Pool:
    many = np.flatnonzero(appraisal.changed(pool).sum(axis=1) > MOST_WEIGHED)
    if not len(many):
        return pool
    now, own = pool.of(many), appraisal.start.of(pool.owner[many])
    changed = appraisal.changed(now)
    order = np.lexsort((appraisal.move_costs(now), ~changed), axis=1)
    count = changed.sum(axis=1)
    for turn in range(int(count.max())):
        left = np.flatnonzero(count > turn)
        feature = order[left, turn]
        tried, line = now.of(left), np.arange(len(left))
        tried.exact[line, feature] = own.exact[left, feature]
        tried.point[line, feature] = own.point[left, feature]
        tried = appraisal.together(tried, appraisal.only(feature))
        # The row itself is no counterfactual, not even where more confidence was asked for.
        fewer = appraisal.changed(tried).sum(axis=1) < appraisal.changed(now.of(left)).sum(axis=1)
        kept = appraisal.judge(tried).accepted & appraisal.changed(tried).any(axis=1) & fewer
        now.exact[left[kept]], now.point[left[kept]] = tried.exact[kept], tried.point[kept]
    pool.exact[many], pool.point[many] = now.exact, now.point
    return pool


def shrunk(appraisal: Appraisal, pool: Pool, bisections: int) -> Pool:
    """Bisect each changed number towards the row's own, the dearest move first."""
    pool = pool.of(np.arange(len(pool)))
    own = appraisal.start.of(pool.owner)
    price = np.where(appraisal.changed(pool), appraisal.move_costs(pool), 0)
    price[:, appraisal.cost.unordered] = 0
    order = np.argsort(-price, axis=1, kind="stable")[:, :MOST_WEIGHED]
    for turn in range(order.shape[1]):
        active = np.flatnonzero(price[np.arange(len(pool)), order[:, turn]] > 0)
        if not len(active):
            break
        line, feature = np.arange(len(active)), order[active, turn]
        end = pool.point[active, feature].astype(np.float64)
        begin = own.point[active, feature].astype(np.float64)
        low, high = np.zeros(len(active)), np.ones(len(active))
        refused = np.full(len(active), np.nan)
        for _ in range(bisections):
            middle = (low + high) / 2
            between = (begin + middle * (end - begin)).astype(pool.point.dtype)
            there = appraisal.feature_stands_for(pool.owner[active], feature, between)
            tried = pool.of(active)
            before = tried.exact[line, feature]
            # All others stay as they are, to the bit.
            tried.exact[line, feature], tried.point[line, feature] = there
            held = there[0] == before
            if appraisal.accepts.has_relations:
                tried = appraisal.together(tried, appraisal.only(feature))
                now = appraisal.move_costs(pool.of(active)).sum(axis=1)
                farther = appraisal.move_costs(tried).sum(axis=1) > now
                asked = np.flatnonzero(~held & ~farther)
            else:  # on a grid the same value comes up again and again
                asked = np.flatnonzero(~held & (there[0] != refused))
            held[asked] = appraisal.judge(tried.of(asked)).accepted
            refused = np.where(held, refused, there[0])
            held &= appraisal.changed(tried).any(axis=1)
            kept = active[held]
            pool.exact[kept], pool.point[kept] = tried.exact[held], tried.point[held]
            high, low = np.where(held, middle, high), np.where(held, low, middle)
        while appraisal.accepts.thresholds is not None and len(active):
            back = _to_the_edge(appraisal, pool, active, feature, appraisal.accepts.thresholds)
            active, feature = active[back], feature[back]
    return pool


def _to_the_edge(
    appraisal: Appraisal,
    pool: Pool,
    active: np.ndarray,
    feature: np.ndarray,
    thresholds: Thresholds,
) -> Bool[np.ndarray, " a"]:
    """Move one feature of some candidates back to where its cell of the trees begins, in place.

    Which side of a threshold has the threshold itself differs from library to library.

    Returns:
        Which have been moved back.
    """
    moved = np.zeros(len(active), bool)
    own, now = appraisal.start.exact[pool.owner[active], feature], pool.exact[active, feature]
    away = np.sign(now - own)
    edge = np.full(len(active), np.nan)
    for one in np.unique(feature):
        lines, known = np.flatnonzero(feature == one), thresholds[one]
        upward = np.searchsorted(known, now[lines], "left") - 1
        downward = np.searchsorted(known, now[lines], "right")
        place = np.where(away[lines] > 0, upward, downward)
        inside = (place >= 0) & (place < len(known))
        edge[lines[inside]] = known[place[inside]]
    beside = away * _BESIDE_EDGE * np.fmax(np.abs(edge), np.abs(own))
    for value in (edge + beside, edge):
        nearer = (value - own) * away >= 0
        nearer &= np.abs(value - own) < np.abs(pool.exact[active, feature] - own)
        line = np.flatnonzero(nearer)
        if not len(line):
            continue
        tried, this = pool.of(active[line]), feature[line]
        point = appraisal.accepts.point_of_feature(value[line], appraisal.rows[tried.owner], this)
        there = appraisal.feature_stands_for(tried.owner, this, point)
        one = np.arange(len(line)), this
        tried.exact[one], tried.point[one] = there
        tried = appraisal.together(tried, appraisal.only(this))
        before = appraisal.move_costs(pool.of(active[line])).sum(axis=1)
        kept = appraisal.judge(tried).accepted & appraisal.changed(tried).any(axis=1)
        kept &= appraisal.move_costs(tried).sum(axis=1) < before
        pool.exact[active[line[kept]]] = tried.exact[kept]
        pool.point[active[line[kept]]] = tried.point[kept]
        moved[line[kept]] = True
    return moved

"""Nearer counterfactuals, feature by feature: from several beginnings, the cheapest end.

Every step asks the models about all rows at once and for decisions only, so it works where there
is no gradient.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxcf.explainers.acceptance import AcceptanceTest, Verdicts
from jaxcf.explainers.costs import ChangeCost
from jaxcf.explainers.refinement import Refinement
from jaxcf.explainers.snapping import Snapping
from jaxcf.explainers.training_rows import TrainingRows
from jaxcf.predictors.trees import Thresholds

# Numbers held at once for questions of a step.
_NUMBERS_TOGETHER = 2**23

# More features than these are not weighed against each other, each question being one of them.
_MOST_WEIGHED = 32

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

# Of each row's candidates so many are shrunk.
_MOST_SHRUNK = 4

# As a share of a threshold: what float32 tells from it, after a scaling or two.
_BESIDE_EDGE = 4e-7

# Margins nearer to each other than this are the same: programs of other batches round otherwise.
_TIE = 1e-4


class Moves(NamedTuple):
    """Single features that may be moved, for each of some points.

    Attributes:
        feature: `[m, k]`.
        exact: `[m, k]`, to which value.
        point: `[m, k]`, where that lies.
        valid: `[m, k]`, which of them there are.
    """

    feature: Int[np.ndarray, "m k"]
    exact: Float[np.ndarray, "m k"]
    point: Float[np.ndarray, "m k"]
    valid: Bool[np.ndarray, "m k"]

    def of(self, chosen: np.ndarray) -> "Moves":
        """Those of some of the points."""
        return Moves(*(array[chosen] for array in self))


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


@dataclass(frozen=True, eq=False)
class Pool:
    """Candidates for some rows: flat points, and what they stand for.

    Attributes:
        owner: `[c]`, which of the rows each belongs to.
        exact: `[c, features]`.
        point: `[c, features]`.
    """

    owner: Int[np.ndarray, " c"]
    exact: Float[np.ndarray, "c features"]
    point: Float[np.ndarray, "c features"]

    def __len__(self) -> int:
        return len(self.owner)

    def of(self, chosen: np.ndarray) -> "Pool":
        """Some of them."""
        return Pool(self.owner[chosen], self.exact[chosen], self.point[chosen])

    def moved(self, chosen: np.ndarray, moves: Moves, which: np.ndarray) -> "Pool":
        """Some of them, each with one of its moves made."""
        pool, line = self.of(chosen), np.arange(len(chosen))
        feature = moves.feature[chosen, which]
        pool.exact[line, feature] = moves.exact[chosen, which]
        pool.point[line, feature] = moves.point[chosen, which]
        return pool


def joined(*pools: Pool) -> Pool:
    """All candidates of several pools."""
    return Pool(
        *(
            np.concatenate([getattr(pool, name) for pool in pools])
            for name in ("owner", "exact", "point")
        )
    )


@dataclass(frozen=True, eq=False)
class Tightening:
    """The steps for some rows of a batch.

    Args:
        accepts: says whether points are counterfactuals.
        start: the rows themselves, one candidate each.
        targets: `[n, classes]`, the classes each may have.
        rows: `[n]`, which rows of the batch they are.
        shape: of one row.
        cost: what changes cost.
        snapping: brings points onto the rules of the rows.
        taken: other counterfactuals of the rows. What changes the same features in the same
            directions as one of them is none; the more features are the same, the dearer it is.
    """

    accepts: AcceptanceTest
    start: Pool
    targets: Bool[np.ndarray, "n classes"]
    rows: Int[np.ndarray, " n"]
    shape: tuple[int, ...]
    cost: ChangeCost
    snapping: Snapping
    taken: Pool | None = None

    @classmethod
    def of(
        cls,
        accepts: AcceptanceTest,
        x: Float[np.ndarray, "n *shape"],
        targets: Bool[np.ndarray, "n classes"],
        rows: Int[np.ndarray, " n"],
        cost: ChangeCost,
        snapping: Snapping,
    ) -> "Tightening":
        """The steps for some rows, which are those of a batch or points that stand for them."""
        n, shape = len(x), x.shape[1:]
        exact = accepts.by_feature(x, rows).reshape(n, -1)
        start = Pool(np.arange(n), exact, x.reshape(n, -1))
        return cls(accepts, start, targets, rows, shape, cost, snapping)

    def pool(self, owner: Int[np.ndarray, " c"], x: Float[np.ndarray, "c *shape"]) -> Pool:
        """Candidates at points that lie on the rules."""
        if not len(owner):
            return self.start.of(owner)
        return self._at(owner, self.accepts.exact(x, self.rows[owner]))

    def judge(self, pool: Pool) -> Verdicts:
        """What the models say of candidates."""
        if not len(pool):
            return Verdicts(np.zeros(0, bool), np.zeros(0))
        owner = pool.owner
        said = self.accepts.judge(*self._shaped(pool), self.targets[owner], self.rows[owner])
        if self.taken is None:
            return said
        return said._replace(accepted=said.accepted & ~self.repeats(pool))

    def stand_for(self, owner: np.ndarray, point: np.ndarray) -> Pool:
        """Features of points, wherever they may lie, each brought onto its rule and grid."""
        if not len(owner):
            return self.start.of(owner)
        x = self.snapping.points(point.reshape(-1, *self.shape), owner)
        return self._at(owner, self.accepts.by_feature(x, self.rows[owner]))

    def feature_stands_for(
        self, owner: np.ndarray, feature: np.ndarray, point: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The same of one feature of each point: what it stands for, and where that lies."""
        snapped, rows = self.snapping.of_feature(point, owner, feature), self.rows[owner]
        exact = self.accepts.of_feature(snapped, rows, feature)
        return exact, self.accepts.point_of_feature(exact, rows, feature)

    def together(self, pool: Pool, held: Bool[np.ndarray, "c features"]) -> Pool:
        """The same candidates, where other features follow those that are held."""
        if not self.accepts.has_relations or not len(pool):
            return pool
        rows, shape = self.rows[pool.owner], (-1, *self.shape)
        exact = self.accepts.mended(pool.exact.reshape(shape), rows, held.reshape(shape))
        ended = self._at(pool.owner, exact)
        # What hasn't moved stays where it is, to the last bit.
        same = (ended.exact == pool.exact) | np.isnan(pool.exact)
        return replace(ended, point=np.where(same, pool.point, ended.point))

    def made(self, pool: Pool, line: np.ndarray, moves: Moves, which: np.ndarray) -> Pool:
        """Some candidates, each with one of its moves made, and what follows."""
        return self.together(pool.moved(line, moves, which), self._one(moves.feature[line, which]))

    def _one(self, feature: Int[np.ndarray, " c"]) -> Bool[np.ndarray, "c features"]:
        return np.arange(self.start.exact.shape[1]) == feature[:, None]

    def _at(self, owner: np.ndarray, exact: np.ndarray) -> Pool:
        n, point = len(owner), self.accepts.points(exact, self.rows[owner])
        return Pool(owner, exact.reshape(n, -1).copy(), point.reshape(n, -1).copy())

    def changed(self, pool: Pool) -> Bool[np.ndarray, "c features"]:
        """Which features differ from the row's own."""
        own = self.start.exact[pool.owner]
        return (pool.exact != own) & ~(np.isnan(pool.exact) & np.isnan(own))

    def decided(self, pool: Pool) -> Int[np.ndarray, " c"]:
        """For which class the model decides at each candidate."""
        if not len(pool):
            return np.zeros(0, np.intp)
        rows = self.rows[pool.owner]
        return self.accepts.probabilities(*self._shaped(pool), rows).argmax(axis=1)

    def _shaped(self, pool: Pool) -> tuple[np.ndarray, np.ndarray]:
        return pool.exact.reshape(-1, *self.shape), pool.point.reshape(-1, *self.shape)

    @cached_property
    def _lacking(self) -> Float[np.ndarray, " n"]:
        """What the rows themselves lack."""
        return self.judge(self.start).lacking

    # --- one step ------------------------------------------------------------------------------

    def weigh(self, pool: Pool, moves: Moves, *, fewer: bool = False) -> Verdicts:
        """What the models say of every move, `[c, k]`.

        Args:
            pool: candidates.
            moves: of each.
            fewer: whether a move must leave fewer features changed.
        """
        accepted = np.zeros(moves.valid.shape, bool)
        lacking = np.full(moves.valid.shape, np.inf)
        lines, places = _true_of(moves.valid)
        most = max(1, _NUMBERS_TOGETHER // pool.exact.shape[1])
        together = min(most, self.accepts.together or most)
        for begin in range(0, len(lines), together):
            line, which = (array[begin : begin + together] for array in (lines, places))
            ends = self.made(pool, line, moves, which)
            said = self.judge(ends)
            accepted[line, which], lacking[line, which] = said
            if fewer:
                now = self.changed(pool.of(line)).sum(axis=1)
                accepted[line, which] &= self.changed(ends).sum(axis=1) < now
        return Verdicts(accepted, lacking)

    def towards(
        self,
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
        pool = self.start.of(owner)
        reached = np.zeros(len(pool), bool)
        lacked = self._lacking[owner]
        thorough = np.ones(len(pool), bool)  # all of its moves are weighed this time
        by_gain = by_gain.copy()
        made = np.zeros(len(pool), int)
        active = np.flatnonzero(np.isfinite(lacked))
        may = moves.of(active if seen is None else seen.line[active])
        gains = np.full(may.valid.shape, np.inf)
        # Of what is worth looking at anew a move changes its own feature's, if no others follow.
        differ = may.valid & self._differ(self.start, owner[active][:, None], may)
        known = None
        if seen is None:
            added = self._added(self.start, owner[active][:, None], may)
        else:
            known, added = seen.of(active)
        while len(active):
            now, line = pool.of(active), np.arange(len(active))
            # Beyond the decision nothing helps more.
            most = lacked[active][:, None] + _TIE
            weighed = differ.copy()
            some = np.flatnonzero(~thorough[active])
            if len(some):
                score = _scores(
                    np.fmin(gains[some], most[some]), added[some], by_gain[active[some]]
                )
                score = np.where(differ[some], score, -np.inf)
                weighed[some] &= _largest(score, width, _WEIGHED_AGAIN)
            if known is None:
                said = self.weigh(now, may._replace(valid=weighed))
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
            which = _first_largest(np.where(good, gain, -np.inf))
            helps = (score[line, which] > -np.inf) & (gain[line, which] > _TIE)
            stuck = ~helps & thorough[active]
            forced = stuck & by_gain[active] & to_the_end & weighed.any(axis=1)
            moving = helps | forced
            ended = self.made(now, line[moving], may, which[moving])
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
            if self.accepts.has_relations:
                anew[:] = True
            line, place = _true_of(anew)
            its = Moves(*(array[line, place] for array in may))
            differ[line, place] = its.valid & self._differ(pool, active[line], its)
            added[line, place] = self._added(pool, active[line], its)
        return pool, reached

    def _differ(self, pool: Pool, line: np.ndarray, moves: Moves) -> Bool[np.ndarray, "*m"]:
        """Which moves, each of a candidate, change anything."""
        return (moves.exact != pool.exact[line, moves.feature]) & ~np.isnan(moves.exact)

    def _added(self, pool: Pool, line: np.ndarray, moves: Moves) -> Float[np.ndarray, "*m"]:
        """What each costs more than the feature does already, with being changed at all."""
        own = self.start.point[pool.owner[line], moves.feature]
        after, now = (
            self.cost.one_move(moves.feature, own, point)
            + self.cost.one_feature(moves.feature, point != own)
            for point in (moves.point, pool.point[line, moves.feature])
        )
        return after - now

    # --- beginnings ----------------------------------------------------------------------------

    def copied(self, goals: Pool) -> Pool:
        """Copy features of other rows, one at a time, until the decision changes.

        Args:
            goals: rows that the models accept, on the rules of their owners.

        Returns:
            Candidates that are accepted, fewer than the goals if need be.
        """
        begin = self.start.of(goals.owner)
        distance = np.abs(goals.point - begin.point) / self.cost.unit
        moves = _chosen(self.changed(goals), goals.exact, goals.point, distance)
        by_gain = np.full(len(begin), self.cost.by == "sparsest")
        pool, reached = self.towards(goals.owner, moves, by_gain, to_the_end=True)
        return pool.of(np.flatnonzero(reached))

    def walked(self, values: Float[np.ndarray, "k features"]) -> Pool:
        """Move one feature at a time to one of a few values.

        What other counterfactuals of the row have changed is left alone where it can be.

        Args:
            values: `[k, features]`, of each feature.
        """
        n, count = len(self.start), len(values)
        moves = self._to_values(values)
        every = np.arange(n)[:, None]
        may = moves._replace(valid=moves.valid & self._differ(self.start, every, moves))
        known, added = self.weigh(self.start, may), self._added(self.start, every, moves)
        # Few large moves end elsewhere than many cheap ones; where features count, few are wanted.
        ways = (True,) if self.cost.by == "sparsest" else (False, True)
        each, turn = np.tile(np.arange(n), len(ways)), np.repeat(ways, n)
        first = np.full(len(each), -1)
        if self.cost.by != "sparsest":
            other, feature = self._other_beginnings(may, known, added, count)
            each, first = np.append(each, other), np.append(first, feature)
            turn = np.append(turn, np.zeros(len(other), bool))
        line = each
        if self.taken is not None:
            # Every way twice: over features that no other has changed, and over all of them.
            free = np.repeat((self._taken_ways == 0).all(axis=0), count, axis=1)
            twice = np.flatnonzero(first < 0)
            alone = moves._replace(valid=moves.valid & free)
            moves = Moves(*map(np.concatenate, zip(moves, alone, strict=True)))
            lacking = np.where(free, known.lacking, np.inf)
            said = zip(known, (known.accepted & free, lacking), strict=True)
            known, added = Verdicts(*map(np.concatenate, said)), np.tile(added, (2, 1))
            line = np.append(each[twice] + n, each)
            each, turn, first = (np.append(one[twice], one) for one in (each, turn, first))
        seen = Seen(line, known, added)
        pool, reached = self.towards(
            each, moves, turn, width=count, to_the_end=False, seen=seen, first=first
        )
        return pool.of(np.flatnonzero(reached))

    def _to_values(self, values: Float[np.ndarray, "k features"]) -> Moves:
        """Every feature of every row to each of some values, those of one feature side by side."""
        (n, d), count = self.start.exact.shape, len(values)
        owner = np.repeat(np.arange(n), count)
        x = self.snapping.each(values.reshape(-1, *self.shape)).reshape(-1, *self.shape)
        options = self._at(owner, self.accepts.by_feature(x, self.rows[owner]))

        def beside(array: np.ndarray) -> np.ndarray:
            return array.reshape(n, count, d).transpose(0, 2, 1)

        exact = beside(options.exact)
        valid = np.ones(exact.shape, bool)
        for later in range(1, count):  # each value once
            valid[..., later] = (exact[..., :later] != exact[..., later : later + 1]).all(axis=-1)
        # As narrow as can be: there are as many as there are values.
        feature = np.repeat(np.arange(d, dtype=np.min_scalar_type(d)), count)
        flat = (array.reshape(n, -1) for array in (exact, beside(options.point), valid))
        return Moves(np.broadcast_to(feature, (n, d * count)), *flat)

    def _other_beginnings(
        self, moves: Moves, known: Verdicts, added: np.ndarray, width: int
    ) -> tuple[Int[np.ndarray, " b"], Int[np.ndarray, " b"]]:
        """The features next to the best by what they gain for what they cost.

        What helps most at first needn't be part of what is cheapest in the end.

        Args:
            moves: of each row.
            known: what the models say of them.
            added: what they cost.
            width: how many moves next to each other are of one feature.

        Returns:
            Rows, and for each of them a feature.
        """
        lacked = self._lacking[:, None]
        gain = np.fmin(lacked - known.lacking, lacked + _TIE)
        score = _scores(gain, added, np.zeros(len(gain), bool))
        score = np.where(moves.valid & (gain > _TIE), score, -np.inf)
        best = score.reshape(len(score), -1, width).max(axis=2)
        order = np.argsort(-best, axis=1, kind="stable")[:, 1 : 1 + _OTHER_BEGINNINGS]
        helps = np.isfinite(np.take_along_axis(best, order, axis=1))
        return np.nonzero(helps)[0], order[helps]

    # --- ways back -----------------------------------------------------------------------------

    def put_back(self, pool: Pool) -> Pool:
        """Put back the feature whose return keeps most, again and again, while the decision holds.

        Of many changed features each is tried once first, the cheapest move first.
        """
        pool = self._put_back_in_turn(pool.of(np.arange(len(pool))))
        active = np.arange(len(pool))
        while len(active):
            now = pool.of(active)
            changed = self.changed(now)
            several = changed.sum(axis=1) > 1
            active, now, changed = active[several], now.of(several), changed[several]
            if not len(active):
                break
            own = self.start.of(now.owner)
            moves = _chosen(changed, own.exact, own.point, -self._moves(now))
            said = self.weigh(now, moves, fewer=self.accepts.has_relations)
            line = np.flatnonzero(said.accepted.any(axis=1))
            which = _first_largest(np.where(said.accepted, -said.lacking, -np.inf))
            ended = self.made(now, line, moves, which[line])
            active = active[line]
            pool.exact[active], pool.point[active] = ended.exact, ended.point
        return pool

    def _put_back_in_turn(self, pool: Pool) -> Pool:
        many = np.flatnonzero(self.changed(pool).sum(axis=1) > _MOST_WEIGHED)
        if not len(many):
            return pool
        now, own = pool.of(many), self.start.of(pool.owner[many])
        changed = self.changed(now)
        order = np.lexsort((self._moves(now), ~changed), axis=1)
        count = changed.sum(axis=1)
        for turn in range(int(count.max())):
            left = np.flatnonzero(count > turn)
            feature = order[left, turn]
            tried, line = now.of(left), np.arange(len(left))
            tried.exact[line, feature] = own.exact[left, feature]
            tried.point[line, feature] = own.point[left, feature]
            tried = self.together(tried, self._one(feature))
            # The row itself is no counterfactual, not even where more confidence was asked for.
            fewer = self.changed(tried).sum(axis=1) < self.changed(now.of(left)).sum(axis=1)
            kept = self.judge(tried).accepted & self.changed(tried).any(axis=1) & fewer
            now.exact[left[kept]], now.point[left[kept]] = tried.exact[kept], tried.point[kept]
        pool.exact[many], pool.point[many] = now.exact, now.point
        return pool

    def _moves(self, pool: Pool) -> Float[np.ndarray, "c features"]:
        """What the move of each feature costs."""
        return self.cost.moves(self.start.point[pool.owner], pool.point)

    def shrunk(self, pool: Pool, bisections: int) -> Pool:
        """Bisect each changed number towards the row's own, the dearest move first."""
        pool = pool.of(np.arange(len(pool)))
        own = self.start.of(pool.owner)
        price = np.where(self.changed(pool), self._moves(pool), 0)
        price[:, self.cost.unordered] = 0
        order = np.argsort(-price, axis=1, kind="stable")[:, :_MOST_WEIGHED]
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
                there = self.feature_stands_for(pool.owner[active], feature, between)
                tried = pool.of(active)
                before = tried.exact[line, feature]
                # All others stay as they are, to the bit.
                tried.exact[line, feature], tried.point[line, feature] = there
                held = there[0] == before
                if self.accepts.has_relations:
                    tried = self.together(tried, self._one(feature))
                    now = self._moves(pool.of(active)).sum(axis=1)
                    farther = self._moves(tried).sum(axis=1) > now
                    asked = np.flatnonzero(~held & ~farther)
                else:  # on a grid the same value comes up again and again
                    asked = np.flatnonzero(~held & (there[0] != refused))
                held[asked] = self.judge(tried.of(asked)).accepted
                refused = np.where(held, refused, there[0])
                held &= self.changed(tried).any(axis=1)
                kept = active[held]
                pool.exact[kept], pool.point[kept] = tried.exact[held], tried.point[held]
                high, low = np.where(held, middle, high), np.where(held, low, middle)
            while self.accepts.thresholds is not None and len(active):
                back = self._to_the_edge(pool, active, feature, self.accepts.thresholds)
                active, feature = active[back], feature[back]
        return pool

    def _to_the_edge(
        self, pool: Pool, active: np.ndarray, feature: np.ndarray, thresholds: Thresholds
    ) -> Bool[np.ndarray, " a"]:
        """Move one feature of some candidates back to where its cell of the trees begins, in place.

        Which side of a threshold has the threshold itself differs from library to library.

        Returns:
            Which have been moved back.
        """
        moved = np.zeros(len(active), bool)
        own, now = self.start.exact[pool.owner[active], feature], pool.exact[active, feature]
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
            point = self.accepts.point_of_feature(value[line], self.rows[tried.owner], this)
            there = self.feature_stands_for(tried.owner, this, point)
            one = np.arange(len(line)), this
            tried.exact[one], tried.point[one] = there
            tried = self.together(tried, self._one(this))
            before = self._moves(pool.of(active[line])).sum(axis=1)
            kept = self.judge(tried).accepted & self.changed(tried).any(axis=1)
            kept &= self._moves(tried).sum(axis=1) < before
            pool.exact[active[line[kept]]] = tried.exact[kept]
            pool.point[active[line[kept]]] = tried.point[kept]
            moved[line[kept]] = True
        return moved

    # --- the choice ----------------------------------------------------------------------------

    def prices(self, pool: Pool, training: TrainingRows | None) -> list[np.ndarray]:
        """By what candidates are compared, the first thing first."""
        moves = self._moves(pool)
        # What differs in its last bits alone is a tie.
        total = moves.sum(axis=1).round(6)
        if self.cost.by == "sparsest":
            return [(self.changed(pool) * self.cost.weight).sum(axis=1).round(6), total]
        if self.cost.by == "plausible" and training is not None:
            classes = self.decided(pool)
            return [training.distance(pool.point, classes).round(6), total]
        return [(total + self.cost.features(self.changed(pool))).round(6)]

    def cheapest(self, pool: Pool, training: TrainingRows | None, most: int = 1) -> Pool:
        """The cheapest candidates of each row, ties by their order.

        Args:
            pool: candidates.
            training: what plausibility is measured by.
            most: how many of each row.
        """
        prices = self.prices(pool, training)
        if self.taken is not None:
            prices[0] = prices[0] * (1 + self.shared(pool))
            new = np.flatnonzero(~self.repeats(pool))
            pool, prices = pool.of(new), [price[new] for price in prices]
        order = np.lexsort((*reversed(prices), pool.owner))
        pool = pool.of(order)
        rank = np.arange(len(pool)) - np.searchsorted(pool.owner, pool.owner)
        return pool.of(np.flatnonzero(rank < most))

    # --- other counterfactuals of the rows -----------------------------------------------------

    def repeats(self, pool: Pool) -> Bool[np.ndarray, " c"]:
        """Which candidates change the same features in the same directions as one taken."""
        ways = self._ways(pool)
        return (ways == self._taken_ways[:, pool.owner]).all(axis=2).any(axis=0)

    def shared(self, pool: Pool) -> Float[np.ndarray, " c"]:
        """The largest share of each candidate's changed features that one taken has changed."""
        changed = self.changed(pool)
        both = changed & (self._taken_ways[:, pool.owner] != 0)
        return (both.sum(axis=2) / np.fmax(changed.sum(axis=1), 1)).max(axis=0, initial=0)

    @cached_property
    def _taken_ways(self) -> Float[np.ndarray, "k n features"]:
        """Of those taken, as many layers as a row has; unlike any where it has fewer."""
        assert self.taken is not None
        owner = self.taken.owner
        layer = np.arange(len(owner)) - np.searchsorted(owner, owner)
        shape = (int(layer.max(initial=-1)) + 1, *self.start.exact.shape)
        ways = np.zeros(shape)  # no candidate changes nothing
        ways[layer, owner] = self._ways(self.taken)
        return ways

    def _ways(self, pool: Pool) -> Float[np.ndarray, "c features"]:
        """How each has changed: -1 or 1, a category's number and 2 more, 0 where it hasn't."""
        own = self.start.exact[pool.owner]
        way = np.where(self.cost.unordered, pool.exact + 2, np.sign(pool.exact - own))
        return np.where(self.changed(pool), way, 0)


def nearest_answers(
    steps: Tightening,
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
        steps: for these rows.
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
        begin = steps.start
        owner, row = training.nearest(
            begin.point, steps.targets, options.copies, alternative * options.copies
        )
        goals = steps.stand_for(begin.owner[owner], row)
        goals = steps.together(goals, np.zeros(goals.exact.shape, bool))
        goals = goals.of(np.flatnonzero(steps.judge(goals).accepted))
        begun.append(steps.copied(goals))
        if steps.cost.by == "plausible":
            begun.append(goals)
    if values is not None:
        begun.append(steps.walked(values))
    pool = joined(*begun)
    if options.sparsify:
        back = steps.put_back(pool)
        # What lies among training rows may leave them on its way back.
        pool = joined(pool, back) if steps.cost.by == "plausible" else back
    if options.shrink and steps.cost.by != "plausible":
        pool = steps.shrunk(steps.cheapest(pool, training, _MOST_SHRUNK), options.bisections)
        if options.sparsify:
            pool = steps.put_back(pool)
    return steps.cheapest(pool, training)


def _true_of(mask: Bool[np.ndarray, "m k"]) -> tuple[np.ndarray, np.ndarray]:
    """Where a mask is true, as `np.nonzero` says it, which takes ten times as long for a matrix."""
    return np.divmod(np.flatnonzero(mask), max(1, mask.shape[1]))


def _scores(gain: np.ndarray, added: np.ndarray, by_gain: np.ndarray) -> np.ndarray:
    """How good moves are: by what they gain, or by that for what they cost."""
    return np.where(by_gain[:, None], gain, gain / np.maximum(added, _LEAST_PRICE))


def _first_largest(score: np.ndarray) -> np.ndarray:
    """The first of those that are as large as the largest, to a tie."""
    largest = score.max(axis=1, initial=-np.inf, keepdims=True)
    tie = np.where(np.isfinite(largest), _TIE * (1 + np.abs(largest)), 0)
    return np.argmax(score >= largest - tie, axis=1)


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


def _chosen(mask: np.ndarray, exact: np.ndarray, point: np.ndarray, size: np.ndarray) -> Moves:
    """Moves of the features in a mask: all, or of many those that go farthest."""
    most = int(min(mask.sum(axis=1).max(initial=0), _MOST_WEIGHED))
    order = np.lexsort((np.where(mask, -size, np.inf), ~mask), axis=1)[:, :most]
    feature = np.sort(order, axis=1)  # ties go to the first feature
    take = lambda array: np.take_along_axis(array, feature, axis=1)  # noqa: E731
    return Moves(feature, take(exact), take(point), take(mask))

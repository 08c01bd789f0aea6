"""What is known of candidates for some rows: what they stand for, are accepted as, and cost."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxcf.explainers.acceptance import AcceptanceTest, Verdicts
from jaxcf.explainers.candidates import Moves, Pool, true_of
from jaxcf.explainers.costs import ChangeCost
from jaxcf.explainers.snapping import Snapping
from jaxcf.explainers.training_rows import TrainingRows

# Numbers held at once for questions about moves.
_NUMBERS_TOGETHER = 2**23


@dataclass(frozen=True, eq=False)
class Appraisal:
    """What is known of candidates for some rows of a batch.

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
    ) -> "Appraisal":
        """For some rows, which are those of a batch or points that stand for them."""
        n, shape = len(x), x.shape[1:]
        exact = accepts.by_feature(x, rows).reshape(n, -1)
        start = Pool(np.arange(n), exact, x.reshape(n, -1))
        return cls(accepts, start, targets, rows, shape, cost, snapping)

    def pool(self, owner: Int[np.ndarray, " c"], x: Float[np.ndarray, "c *shape"]) -> Pool:
        """Candidates at points that lie on the rules."""
        if not len(owner):
            return self.start.of(owner)
        return self.at(owner, self.accepts.exact(x, self.rows[owner]))

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
        return self.at(owner, self.accepts.by_feature(x, self.rows[owner]))

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
        ended = self.at(pool.owner, exact)
        # What hasn't moved stays where it is, to the last bit.
        same = (ended.exact == pool.exact) | np.isnan(pool.exact)
        return replace(ended, point=np.where(same, pool.point, ended.point))

    def made(self, pool: Pool, line: np.ndarray, moves: Moves, which: np.ndarray) -> Pool:
        """Some candidates, each with one of its moves made, and what follows."""
        return self.together(pool.moved(line, moves, which), self.only(moves.feature[line, which]))

    def only(self, feature: Int[np.ndarray, " c"]) -> Bool[np.ndarray, "c features"]:
        """Of each candidate one feature and no other."""
        return np.arange(self.start.exact.shape[1]) == feature[:, None]

    def at(self, owner: np.ndarray, exact: np.ndarray) -> Pool:
        """Candidates that stand for what is given, as it is."""
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
    def lacking(self) -> Float[np.ndarray, " n"]:
        """What the rows themselves lack."""
        return self.judge(self.start).lacking

    def weigh(self, pool: Pool, moves: Moves, *, fewer: bool = False) -> Verdicts:
        """What the models say of every move, `[c, k]`.

        Args:
            pool: candidates.
            moves: of each.
            fewer: whether a move must leave fewer features changed.
        """
        accepted = np.zeros(moves.valid.shape, bool)
        lacking = np.full(moves.valid.shape, np.inf)
        lines, places = true_of(moves.valid)
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

    def differ(self, pool: Pool, line: np.ndarray, moves: Moves) -> Bool[np.ndarray, "*m"]:
        """Which moves, each of a candidate, change anything."""
        return (moves.exact != pool.exact[line, moves.feature]) & ~np.isnan(moves.exact)

    def added(self, pool: Pool, line: np.ndarray, moves: Moves) -> Float[np.ndarray, "*m"]:
        """What each costs more than the feature does already, with being changed at all."""
        own = self.start.point[pool.owner[line], moves.feature]
        after, now = (
            self.cost.one_move(moves.feature, own, point)
            + self.cost.one_feature(moves.feature, point != own)
            for point in (moves.point, pool.point[line, moves.feature])
        )
        return after - now

    def move_costs(self, pool: Pool) -> Float[np.ndarray, "c features"]:
        """What the move of each feature costs."""
        return self.cost.moves(self.start.point[pool.owner], pool.point)

    def prices(self, pool: Pool, training: TrainingRows | None) -> list[np.ndarray]:
        """By what candidates are compared, the first thing first."""
        moves = self.move_costs(pool)
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

    def repeats(self, pool: Pool) -> Bool[np.ndarray, " c"]:
        """Which candidates change the same features in the same directions as one taken."""
        ways = self._ways(pool)
        return (ways == self.taken_ways[:, pool.owner]).all(axis=2).any(axis=0)

    def shared(self, pool: Pool) -> Float[np.ndarray, " c"]:
        """The largest share of each candidate's changed features that one taken has changed."""
        changed = self.changed(pool)
        both = changed & (self.taken_ways[:, pool.owner] != 0)
        return (both.sum(axis=2) / np.fmax(changed.sum(axis=1), 1)).max(axis=0, initial=0)

    @cached_property
    def taken_ways(self) -> Float[np.ndarray, "k n features"]:
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

"""Claims are decided by the interval of the paired difference."""

import numpy as np

from experiments import claims
from experiments.claims import Claim

GENERATOR = np.random.default_rng(0)
BASE = GENERATOR.normal(100, 30, size=300)
INSTANCES = {
    "A": {"steps": BASE + GENERATOR.normal(5, 2, 300)},
    "B": {"steps": BASE + GENERATOR.normal(0, 2, 300)},
    "C": {"steps": BASE},
    "D": {"steps": np.where(np.arange(300) < 299, np.nan, BASE)},
}


def verdict(first, second, margin=0.0):
    claim = Claim("more", "steps", ((first, second),), margin)
    return claims.check_claims(INSTANCES, [claim])[0]["verdict"]


def test_the_sign_of_the_interval_decides():
    assert verdict("A", "C") == claims.CONFIRMED
    assert verdict("C", "A") == claims.REFUTED
    assert verdict("B", "C") == claims.UNDECIDED


def test_a_margin_is_what_a_claim_of_no_loss_may_lose():
    assert verdict("C", "B", margin=1.0) == claims.CONFIRMED
    assert verdict("C", "A", margin=1.0) == claims.REFUTED
    assert verdict("C", "A", margin=10.0) == claims.CONFIRMED


def test_one_row_in_common_decides_nothing():
    assert verdict("A", "D") == claims.UNDECIDED


def test_objectives_that_were_not_run_have_no_claims():
    assert claims.check_claims({"A": INSTANCES["A"]}) == []


def test_a_claim_is_confirmed_as_a_whole_only_if_all_its_pairs_are():
    claim = Claim("more", "steps", (("A", "C"), ("B", "C"), ("C", "A")))
    lines = claims.check_claims(INSTANCES, [claim])
    expected = "1 of 3 pairs confirmed, 1 refuted, 1 undecided"
    assert claims.verdicts(lines) == {"more": expected}
    assert claims.verdicts(lines[:1]) == {"more": claims.CONFIRMED}

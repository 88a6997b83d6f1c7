"""csrc/rank.c, kernels/compare.c and ranks.c: both ways of ranking, compared with counting."""

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pepg_fast import kernels

LIMIT = 384  # PEPG_COMPARE_LIMIT
SIZES = [2, 3, 7, 8, 9, 31, 32, 33, 100, LIMIT - 1, LIMIT, LIMIT + 1, 1000]


def centered_ranks(rewards):
    rewards = np.array(rewards, dtype=np.float64)
    shaped = np.empty_like(rewards)
    kernels.centered_ranks(rewards, shaped)
    return shaped


@pytest.mark.parametrize("n", SIZES)
def test_distinct_rewards_get_the_originals_values(isa, n, rng):
    rewards = rng.permutation(n) * 1.5 - n
    np.testing.assert_array_equal(
        centered_ranks(rewards), np.arange(n)[rewards.argsort().argsort()] / (n - 1) - 0.5
    )


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("distinct", [1, 2, 3, 17])
def test_ties_share_their_average_rank(isa, n, distinct, rng):
    rewards = rng.integers(0, distinct, n).astype(float)
    np.testing.assert_array_equal(centered_ranks(rewards), reference.centered_ranks(rewards))


@pytest.mark.parametrize("n", SIZES)
def test_rewards_that_float32_cannot_tell_apart_get_their_own_ranks(isa, n, rng):
    close = 1.0 + rng.permutation(n) * np.finfo(float).eps
    np.testing.assert_array_equal(centered_ranks(close), reference.centered_ranks(close))
    close[-1] = close[0]
    np.testing.assert_array_equal(centered_ranks(close), reference.centered_ranks(close))


ODD_NUMBERS = [
    0.0,
    -0.0,
    np.inf,
    -np.inf,
    5e-324,
    -5e-324,
    1e308,
    -1e308,
    1.0,
    np.nextafter(1.0, 2.0),
    1e40,  # infinite in float32
    2e40,
]


@given(
    hnp.arrays(
        np.float64,
        st.one_of(st.integers(2, 80), st.integers(LIMIT + 1, LIMIT + 60)),
        elements=st.one_of(st.sampled_from(ODD_NUMBERS), st.floats(allow_nan=False)),
    )
)
def test_any_rewards_rank_by_value(rewards):
    np.testing.assert_array_equal(centered_ranks(rewards), reference.centered_ranks(rewards))


@pytest.mark.parametrize("n", [4, LIMIT + 10])
def test_nan_is_refused(isa, n):
    with pytest.raises(ValueError, match="NaN"):
        centered_ranks([np.nan] + [1.0] * (n - 1))


def test_shaped_may_be_the_rewards(isa):
    for n in (50, 500):
        rewards = np.random.default_rng(1).integers(0, 9, n).astype(float)
        wanted = centered_ranks(rewards)
        kernels.centered_ranks(rewards, rewards)
        np.testing.assert_array_equal(rewards, wanted)


@pytest.mark.parametrize("n_pairs", [1, 2, 5, 50])
def test_antithetic_weights(n_pairs, rng):
    shaped, weights = rng.standard_normal(2 * n_pairs), np.empty((2, n_pairs))
    kernels.antithetic(shaped, weights)
    np.testing.assert_allclose(weights, reference.antithetic(shaped), rtol=1e-12, atol=1e-15)

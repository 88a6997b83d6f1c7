"""Statistics of observations against NumPy's, in any split."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pepg_fast.training.normalization import FORMER_FLOOR, Moments, Statistics


def collected(observations, lengths) -> list:
    """Return (count, mean, squares) of episodes that run together."""
    n, size = len(lengths), observations[0].shape[1]
    moments = Moments(n, size)
    rows = list(range(n))
    step = 0
    while rows:
        moments.add(
            np.stack([observations[row][step] for row in rows]),
            slice(None) if len(rows) == n else np.array(rows),
        )
        step += 1
        for row in [row for row in rows if lengths[row] == step]:
            moments.end(row)
            rows.remove(row)
    return list(zip(moments.count, moments.mean, moments.squares, strict=True))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.integers(0, 2**32 - 1))
def test_merged_in_any_split_they_are_numpys(counts, seed):
    rng = np.random.default_rng(seed)
    parts = [rng.normal(3.0, 2.0, (count, 4)) for count in counts]
    statistics = Statistics.none(4)
    for part in parts:
        statistics = statistics.merged(
            len(part), part.mean(axis=0), ((part - part.mean(axis=0)) ** 2).sum(axis=0)
        )
    together = np.concatenate(parts)
    assert statistics.count == len(together)
    np.testing.assert_allclose(statistics.mean, together.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(
        statistics.squares, len(together) * together.var(axis=0), rtol=1e-10, atol=1e-12
    )


# 256 observations make a block
@pytest.mark.parametrize("length", [1, 2, 255, 256, 257, 511, 512, 513, 700])
def test_of_an_episode_they_are_numpys(length, rng):
    # far from 0, where sums of squares would have lost all digits
    observations = [rng.normal(1e6, 1.0, (length, 3))]
    ((count, mean, squares),) = collected(observations, [length])
    assert count == length
    np.testing.assert_allclose(mean, observations[0].mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(squares / length, observations[0].var(axis=0), rtol=1e-6, atol=1e-9)


def test_other_episodes_do_not_change_the_bits_of_an_episode(rng):
    lengths = [300, 1, 257, 600, 256, 599]
    observations = [rng.normal(size=(length, 5)) for length in lengths]
    together = collected(observations, lengths)
    for episode, length, beside in zip(observations, lengths, together, strict=True):
        (alone,) = collected([episode], [length])
        for one, other in zip(alone, beside, strict=True):
            assert np.asarray(one).tobytes() == np.asarray(other).tobytes()


@pytest.mark.parametrize("step", [1, 256, 300])  # before, at and after the end of a block
def test_episodes_that_others_take_keep_their_bits(step, rng):
    episodes = rng.normal(size=(3, 600, 5))
    expected = collected(episodes, [600] * 3)
    first, second = Moments(3, 5), Moments(3, 5)
    for observations in episodes.swapaxes(0, 1)[:step]:
        first.add(observations, np.arange(3))
    second.take(first, np.array([0, 2]))
    for observations in episodes.swapaxes(0, 1)[step:]:
        second.add(observations[[0, 2]], np.arange(2))
        first.add(observations[[1]], np.array([1]))
    found = second.taken(0), first.taken(1), second.taken(1)
    for one, other in zip(expected, found, strict=True):
        for part, others in zip(one, other, strict=True):
            assert np.asarray(part).tobytes() == np.asarray(others).tobytes()
    assert first.taken(0)[0] == 0.0  # its row is free


def test_a_normalizer_gives_mean_0_and_deviation_1_within_its_clip(rng):
    x = rng.normal([5.0, -300.0], [0.5, 40.0], (1000, 2))
    statistics = Statistics.none(2).merged(
        1000.0, x.mean(axis=0), ((x - x.mean(axis=0)) ** 2).sum(axis=0)
    )
    z = statistics.normalizer(np.inf)(x)
    np.testing.assert_allclose(z.mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(z.std(axis=0), 1.0, rtol=1e-12)
    clipped = statistics.normalizer(1.5)(x)
    np.testing.assert_array_equal(clipped, np.clip(z, -1.5, 1.5))


@pytest.mark.parametrize("scale", [1e-7, 1e-3, 1.0, 1e9])
def test_the_unit_of_an_observation_does_not_matter(scale, rng):
    x = rng.normal(0.0, scale, (1000, 1))
    statistics = Statistics.none(1).merged(
        1000.0, x.mean(axis=0), ((x - x.mean(axis=0)) ** 2).sum(axis=0)
    )
    assert statistics.normalizer(np.inf)(x).std() == pytest.approx(1.0)


@pytest.mark.parametrize(("value", "deviation"), [(7.0, 0.0), (0.1, 1e-17), (3e6, 1e-4), (0, 9e-9)])
def test_a_constant_observation_is_0(value, deviation):
    squares = np.array([10.0 * deviation**2])
    statistics = Statistics.none(1).merged(10.0, np.array([value]), squares)
    z = statistics.normalizer(5.0)(np.array([[value], [value + 1.0]]))
    np.testing.assert_array_equal(z, 0.0)


def test_a_floor_of_former_runs_is_kept():
    statistics = Statistics.none(1).merged(10.0, np.array([7.0]), np.array([0.0]))
    z = statistics.normalizer(5.0, FORMER_FLOOR)(np.array([[7.0], [7.001]]))
    np.testing.assert_allclose(z, [[0.0], [0.001 / FORMER_FLOOR]], rtol=1e-9)


def test_without_observations_nothing_changes():
    x = np.array([[1.0, -2.0]])
    np.testing.assert_array_equal(Statistics.none(2).normalizer(5.0)(x), x)
    same = Statistics.none(2).merged(0.0, np.full(2, np.nan), np.full(2, np.nan))
    assert same.count == 0
    assert not same.mean.any()

"""csrc/rng.h: Philox has its authors' known answers, and normals follow Box-Muller and the normal distribution."""

import numpy as np
import pytest
import reference
from scipy import stats

from pepg_fast import kernels

# kat_vectors of Random123: counter, key, output of philox4x32 with 10 rounds
KNOWN_ANSWERS = [
    ([0, 0, 0, 0], [0, 0], [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


def normals(n_pairs, dim, key=11, generation=1, first_pair=0, dtype=np.float32):
    noise = np.full((n_pairs, dim), np.nan, dtype)
    kernels.normals(key, generation, first_pair, noise)
    return noise


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN_ANSWERS)
@pytest.mark.parametrize("n", [1, 3, 8, 31, 32, 33])
def test_philox_gives_random123s_known_answers(isa, n, counter, key, words):
    got = np.zeros((n, 4), np.uint32)
    kernels.philox4x32(np.tile(np.uint32(counter), (n, 1)), key[0] | key[1] << 32, got)
    np.testing.assert_array_equal(got, np.tile(np.uint32(words), (n, 1)))


def test_reference_philox_gives_them_too():
    for counter, key, words in KNOWN_ANSWERS:
        assert reference.philox4x32(counter, key[0] | key[1] << 32) == words


@pytest.mark.parametrize("dim", [1, 3, 4, 5, 9, 31, 127, 128, 129, 1023, 1024, 1025])
def test_normals_are_box_muller_of_their_counters(isa, dim):
    key, generation, first = 0x0123456789ABCDEF, (7 << 32) + 3, 2**32 - 3
    got = normals(3, dim, key, generation, first)
    wanted = [
        [reference.normal(key, generation, first + i, j) for j in range(dim)] for i in range(3)
    ]
    np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-6)


def test_float64_normals_are_the_float32_ones(isa):
    np.testing.assert_array_equal(
        normals(5, 1300, dtype=np.float64), normals(5, 1300).astype(np.float64)
    )


def test_a_normal_depends_on_nothing_but_key_generation_pair_coordinate(each_isa):
    wanted = normals(40, 1500)
    for name in each_isa:
        kernels.select_isa(name)
        for first, n, dim in [(0, 40, 1500), (0, 1, 1), (7, 20, 900), (39, 1, 1499), (3, 30, 9)]:
            np.testing.assert_array_equal(
                normals(n, dim, first_pair=first), wanted[first : first + n, :dim], err_msg=name
            )


@pytest.mark.parametrize("n_pairs", [1, 2, 5, 33, 40])
@pytest.mark.parametrize("dim", [*range(1, 14), 127, 129, 1025])
def test_nothing_is_written_past_the_last_normal(isa, n_pairs, dim):
    memory = np.full(n_pairs * dim + 64, 7.0, np.float32)
    kernels.normals(1, 1, 0, memory[: n_pairs * dim].reshape(n_pairs, dim))
    np.testing.assert_array_equal(memory[n_pairs * dim :], 7.0)
    assert not np.any(memory[: n_pairs * dim] == 7.0)


@pytest.mark.parametrize(
    "change",
    [
        {"key": 12},
        {"key": 11 + (1 << 32)},
        {"generation": 2},
        {"generation": 1 + (1 << 32)},
        {"first_pair": 64},
    ],
)
def test_key_generation_and_pair_each_change_every_normal(change):
    assert not np.any(normals(64, 200) == normals(64, 200, **change))


@pytest.fixture(scope="module")
def many():
    return normals(400, 50_000, key=2024).astype(np.float64)


def test_moments_are_those_of_the_normal_distribution(many):
    n = many.size
    assert abs(many.mean()) < 5 / np.sqrt(n)
    assert abs(many.var() - 1) < 5 * np.sqrt(2 / n)
    assert abs((many**3).mean()) < 5 * np.sqrt(15 / n)
    assert abs((many**4).mean() - 3) < 5 * np.sqrt(96 / n)
    assert abs((many**6).mean() - 15) < 5 * np.sqrt(10170 / n)


def test_kolmogorov_smirnov_finds_no_difference(many):
    assert stats.kstest(many.ravel()[:2_000_000], "norm").pvalue > 1e-3
    assert stats.kstest(many[:, ::7].ravel(), "norm").pvalue > 1e-3


@pytest.mark.parametrize("word", range(4))
def test_each_word_of_a_counter_gives_normals(many, word):
    assert stats.kstest(many[:, word::4].ravel()[:1_000_000], "norm").pvalue > 1e-3


@pytest.mark.parametrize("limit", [3.0, 4.0, 4.5, 5.0, 5.2])
def test_both_tails_hold_what_they_should(many, limit):
    expected = many.size * stats.norm.sf(limit)
    for tail in (many > limit, many < -limit):
        assert abs(np.count_nonzero(tail) - expected) < 5 * np.sqrt(expected) + 1


def test_the_radius_reaches_six_sigma_and_stays_finite():
    extreme = 0.0
    for generation in range(16):
        noise = normals(250, 100_000, key=5, generation=generation)
        assert np.isfinite(noise).all()
        extreme = max(extreme, float(np.abs(noise).max()))
    assert 5.6 < extreme <= 6.77  # 4e8 normals: beyond 5.6 with probability 0.9998


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ({}, {"first_pair": 100}),
        ({}, {"generation": 2}),
        ({}, {"key": 12}),
        ({}, {"key": 11 ^ (1 << 63)}),
    ],
    ids=["pairs", "generations", "keys", "keys-high-bit"],
)
def test_streams_are_uncorrelated(a, b):
    x, y = normals(100, 20_000, **a).ravel(), normals(100, 20_000, **b).ravel()
    limit = 5 / np.sqrt(x.size)
    assert abs(np.corrcoef(x, y)[0, 1]) < limit
    assert abs(np.corrcoef(x**2, y**2)[0, 1]) < limit


@pytest.mark.parametrize("lag", [1, 2, 3, 4, 5, 16, 64, 128])
def test_coordinates_are_uncorrelated(many, lag):
    x, y = many[:, :-lag].ravel(), many[:, lag:].ravel()
    limit = 5 / np.sqrt(x.size)
    assert abs(np.corrcoef(x, y)[0, 1]) < limit
    assert abs(np.corrcoef(x**2, y**2)[0, 1]) < limit


def test_neighboring_normals_fill_the_plane(many):
    angle = np.arctan2(many[:, 1::2], many[:, 0::2]).ravel()[:1_000_000]
    assert stats.kstest(angle, "uniform", args=(-np.pi, 2 * np.pi)).pvalue > 1e-3


@pytest.mark.parametrize("shape", [(0, 5), (5, 0)])
def test_empty_noise_is_refused(shape):
    with pytest.raises(ValueError, match="at least one pair"):
        kernels.normals(1, 1, 0, np.empty(shape, np.float32))


def test_pairs_past_the_counters_are_refused():
    with pytest.raises(ValueError, match="no more than the counters can number"):
        kernels.normals(1, 1, 2**32 - 1, np.empty((2, 3), np.float32))

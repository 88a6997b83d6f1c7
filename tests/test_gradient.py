"""kernels/gradient.c: both gradients from stored, explicit and regenerated noise."""

import numpy as np
import pytest
import reference
from tolerance import assert_close, rtol_of

from pepg_fast import kernels

DIMS = [1, 3, 8, 9, 16, 17, 1023, 1024, 1025, 2100]
PAIRS = [1, 2, 3, 4, 5, 63, 64, 65, 130]


def make_case(n_pairs, dim, dtype, rng):
    noise = np.empty((n_pairs, dim), np.float32)
    kernels.normals(3, 4, 0, noise)
    weights = np.empty((2, n_pairs))
    kernels.antithetic(rng.permutation(2 * n_pairs) / (2 * n_pairs - 1) - 0.5, weights)
    return noise, weights, rng.uniform(0.5, 2.0, dim).astype(dtype)


def gradients(noise, epsilon, weights, sigma, n_threads=0):
    g = np.empty((2, sigma.size), sigma.dtype)
    drawn = np.array([np.zeros_like(sigma), sigma])
    kernels.gradients(3, 4, noise, epsilon, weights, drawn, g[0], g[1], n_threads)
    return g


@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize("n_pairs", [7])
def test_gradients_match_the_formula_at_every_width(isa, dtype, n_pairs, dim, rng):
    noise, weights, sigma = make_case(n_pairs, dim, dtype, rng)
    wanted = reference.gradients(sigma.astype(float) * noise, weights, sigma.astype(float))
    assert_close(gradients(noise, None, weights, sigma), wanted, rtol_of(dtype))
    epsilon = (sigma * noise).astype(dtype)
    assert_close(gradients(None, epsilon, weights, sigma), wanted, rtol_of(dtype))


@pytest.mark.parametrize("n_pairs", PAIRS)
def test_gradients_match_the_formula_at_every_number_of_pairs(isa, dtype, n_pairs, rng):
    noise, weights, sigma = make_case(n_pairs, 40, dtype, rng)
    wanted = reference.gradients(sigma.astype(float) * noise, weights, sigma.astype(float))
    assert_close(gradients(noise, None, weights, sigma), wanted, rtol_of(dtype))


@pytest.mark.parametrize(("n_pairs", "dim"), [(1, 1), (5, 9), (66, 2100)])
def test_noise_drawn_again_gives_the_same_bits(isa, dtype, n_pairs, dim, rng):
    noise, weights, sigma = make_case(n_pairs, dim, dtype, rng)
    np.testing.assert_array_equal(
        gradients(None, None, weights, sigma), gradients(noise, None, weights, sigma)
    )


def test_regenerated_and_explicit_noise_agree_with_every_isa_and_thread_count(
    each_isa, dtype, teams, rng
):
    noise, weights, sigma = make_case(130, 5000, dtype, rng)
    epsilon = (sigma * noise).astype(dtype)
    for given in [(noise, None), (None, epsilon), (None, None)]:
        results = []
        for name in each_isa:
            kernels.select_isa(name)
            results += [gradients(*given, weights, sigma, n_threads) for n_threads in (1, 2, 3, 5)]
        for result in results[1:]:
            np.testing.assert_array_equal(result, results[0])

"""kernels/optimizer.c: Adam, the step of sigma, and the fused update."""

import numpy as np
import pytest
import reference
from tolerance import assert_close, rtol_of

from pepg_fast import kernels

DIMS = [1, 7, 8, 9, 17, 1023, 1024, 1025]


@pytest.mark.parametrize("dim", DIMS)
def test_adam_matches_the_formula_over_steps(isa, dtype, dim, rng):
    m, v = np.zeros((2, dim), dtype)
    wanted_m, wanted_v = np.zeros((2, dim))
    for t in range(1, 6):
        gradient = rng.standard_normal(dim).astype(dtype)
        step = np.empty(dim, dtype)
        kernels.adam(gradient, 0.3, 0.8, 0.99, 1e-6, t, m, v, step)
        wanted, wanted_m, wanted_v = reference.adam(
            gradient.astype(float), wanted_m, wanted_v, t, 0.3, 0.8, 0.99, 1e-6
        )
        assert_close(step, wanted, rtol_of(dtype))
    assert_close(m, wanted_m, rtol_of(dtype))
    assert_close(v, wanted_v, rtol_of(dtype))


@pytest.mark.parametrize("t", [1, 2, 1000, 10**6, 10**12])
def test_adams_bias_correction_at_any_t(t):
    step, moments = np.ones(1), np.zeros((2, 1))
    kernels.adam(step, 0.1, 0.9, 0.999, 1e-8, t, moments[0], moments[1], step)
    size = 0.1 * np.sqrt(-np.expm1(t * np.log(0.999))) / -np.expm1(t * np.log(0.9))
    np.testing.assert_allclose(step, -size * 0.1 / (np.sqrt(0.001) + 1e-8), rtol=1e-11)


@pytest.mark.parametrize("dim", DIMS)
def test_sigma_steps_within_its_limits(isa, dtype, dim, rng):
    sigma, g_sigma = (
        rng.uniform(0.5, 2.0, dim).astype(dtype),
        (10 * rng.standard_normal(dim)).astype(dtype),
    )
    wanted = np.clip(sigma + dtype.type(0.2) * g_sigma, dtype.type(0.4), dtype.type(3.0))
    kernels.sigma_step(g_sigma, 0.2, np.inf, 0.4, 3.0, None, sigma)
    np.testing.assert_array_equal(sigma, wanted)


@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize("each", [False, True])
def test_sigma_changes_by_a_share_of_itself_at_most(isa, dtype, dim, each, rng):
    sigma, g_sigma = rng.uniform(0.5, 2.0, dim), 10 * rng.standard_normal(dim)
    change, low, high = rng.uniform([[0.1], [0.2], [1.2]], [[0.5], [0.8], [2.5]], (3, dim))
    if not each:
        change[:], low[:], high[:] = change[0], low[0], high[0]
    sigma, g_sigma, *limits = (x.astype(dtype) for x in (sigma, g_sigma, change, low, high))
    wanted = reference.sigma_step(sigma, g_sigma, dtype.type(0.2), *limits)
    numbers = (np.nan,) * 3 if each else tuple(float(x[0]) for x in limits)
    kernels.sigma_step(g_sigma, 0.2, *numbers, np.array(limits) if each else None, sigma)
    np.testing.assert_array_equal(sigma, wanted)


@pytest.mark.parametrize(("n_pairs", "dim"), [(1, 1), (50, 9), (66, 3000)])
@pytest.mark.parametrize("source", ["noise", "epsilon", "neither"])
def test_the_fused_update_is_its_parts(isa, dtype, n_pairs, dim, source, rng):
    noise, weights = np.empty((n_pairs, dim), np.float32), rng.standard_normal((2, n_pairs))
    kernels.normals(3, 4, 0, noise)
    mu, sigma, m, v = rng.uniform(0.5, 2.0, (4, dim)).astype(dtype)
    drawn = rng.uniform(0.5, 2.0, (2, dim)).astype(dtype)
    limits = rng.uniform(0.2, 2.0, (3, dim)).astype(dtype) if source == "neither" else None
    epsilon = (drawn[1] * noise).astype(dtype) if source == "epsilon" else None
    draw = (3, 4, noise if source == "noise" else None, epsilon, weights, drawn)

    wanted = [x.copy() for x in (m, v, mu, sigma)]
    g_mu, g_sigma, step = np.empty((3, dim), dtype)
    kernels.gradients(*draw, g_mu, g_sigma)
    kernels.adam(dtype.type(0.01) * mu - g_mu, 0.3, 0.9, 0.999, 1e-8, 7, wanted[0], wanted[1], step)
    wanted[2] += step
    kernels.sigma_step(g_sigma, 0.2, 0.3, 0.6, 1.9, limits, wanted[3])

    kept = np.empty(dim, dtype) if limits is None else None
    kernels.update_adam(
        *draw, 0.3, 0.9, 0.999, 1e-8, 7, 0.01, 0.2, 0.3, 0.6, 1.9, limits, m, v, mu, sigma, kept
    )
    if kept is not None:
        np.testing.assert_array_equal(kept, g_mu)
    for got, part in zip((m, v, mu, sigma), wanted, strict=True):
        np.testing.assert_array_equal(got, part)


RULES = {name: kind for name, kind in kernels.RULES.items() if name != "adam"}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("dim", DIMS)
def test_velocities_match_the_formula_over_steps(isa, dtype, rule, dim, rng):
    velocity, wanted = np.zeros(dim, dtype), np.zeros(dim)
    for _ in range(5):
        gradient = rng.standard_normal(dim).astype(dtype)
        step = np.empty(dim, dtype)
        kernels.velocity_step(gradient, RULES[rule], 0.3, 0.8, 0.5, velocity, step)
        wanted_step, wanted = reference.velocity_step(
            rule, gradient.astype(float), wanted, 0.3, 0.8, 0.5
        )
        assert_close(step, wanted_step, rtol_of(dtype))
    assert_close(velocity, wanted, rtol_of(dtype))


@pytest.mark.usefixtures("teams")
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("dim", [1025, 40_000])
def test_velocities_have_the_same_bits_everywhere(each_isa, dtype, rule, dim, rng):
    gradient, velocity = rng.standard_normal((2, dim)).astype(dtype)
    results = []
    for isa in each_isa:
        kernels.select_isa(isa)
        for n_threads in (1, 2, 5):
            v, step = velocity.copy(), gradient.copy()  # the step may be the gradient
            kernels.velocity_step(step, RULES[rule], 0.3, 0.8, 0.5, v, step, n_threads)
            results.append((v, step))
    for v, step in results[1:]:
        np.testing.assert_array_equal(v, results[0][0])
        np.testing.assert_array_equal(step, results[0][1])


@pytest.mark.parametrize("scale", [0.0, 5e-324, 1e-200, 1e-160, 1e160, 1e307])
def test_clipup_at_any_length_of_the_gradient(scale):
    direction = np.array([3.0, -4.0, 0.0])
    velocity, step = np.array([0.1, 0.0, 0.0]), np.empty(3)
    kernels.velocity_step(direction * scale, RULES["clipup"], 0.5, 0.9, 10.0, velocity, step)
    pushed = direction / 5.0 if scale > 1e-300 else 0.0  # its inverse would overflow
    np.testing.assert_allclose(step, np.array([0.09, 0.0, 0.0]) - 0.5 * pushed, rtol=1e-12)
    np.testing.assert_array_equal(velocity, step)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("n_pairs", "dim"), [(1, 1), (50, 9), (66, 3000)])
@pytest.mark.parametrize("source", ["noise", "epsilon", "neither"])
def test_an_update_with_a_velocity_is_its_parts(isa, dtype, rule, n_pairs, dim, source, rng):
    noise, weights = np.empty((n_pairs, dim), np.float32), rng.standard_normal((2, n_pairs))
    kernels.normals(3, 4, 0, noise)
    mu, sigma, velocity = rng.uniform(0.5, 2.0, (3, dim)).astype(dtype)
    drawn = rng.uniform(0.5, 2.0, (2, dim)).astype(dtype)
    limits = rng.uniform(0.2, 2.0, (3, dim)).astype(dtype) if source == "neither" else None
    epsilon = (drawn[1] * noise).astype(dtype) if source == "epsilon" else None
    draw = (3, 4, noise if source == "noise" else None, epsilon, weights, drawn)

    wanted = [x.copy() for x in (velocity, mu, sigma)]
    g_mu, g_sigma, step = np.empty((3, dim), dtype)
    kernels.gradients(*draw, g_mu, g_sigma)
    descent = dtype.type(0.01) * mu - g_mu
    kernels.velocity_step(descent, RULES[rule], 0.3, 0.9, 0.4, wanted[0], step)
    wanted[1] += step
    kernels.sigma_step(g_sigma, 0.2, 0.3, 0.6, 1.9, limits, wanted[2])

    kept = np.empty(dim, dtype) if limits is None else None
    kernels.update_velocity(
        *draw,
        RULES[rule],
        0.3,
        0.9,
        0.4,
        0.01,
        0.2,
        0.3,
        0.6,
        1.9,
        limits,
        velocity,
        mu,
        sigma,
        kept,
    )
    if kept is not None:
        np.testing.assert_array_equal(kept, g_mu)
    for got, part in zip((velocity, mu, sigma), wanted, strict=True):
        np.testing.assert_array_equal(got, part)


@pytest.mark.usefixtures("teams")
@pytest.mark.parametrize("dim", [*DIMS, 40_000])
def test_norms_have_the_same_bits_everywhere(each_isa, dtype, dim, rng):
    x = rng.standard_normal(dim).astype(dtype)
    norms = set()
    for isa in each_isa:
        kernels.select_isa(isa)
        norms |= {kernels.norm(x, n_threads) for n_threads in (1, 2, 5)}
    assert len(norms) == 1
    np.testing.assert_allclose(norms.pop(), np.linalg.norm(x.astype(float)), rtol=1e-13)


@pytest.mark.parametrize("scale", [0.0, 1e-300, 1e300])
def test_a_norm_neither_overflows_nor_vanishes(scale):
    np.testing.assert_allclose(kernels.norm(np.array([3.0, -4.0]) * scale), 5 * scale, rtol=1e-12)

"""SGD and ClipUp through the public API; Adam is in test_parity.py, the kernels in test_optimizer_kernels.py."""

import math

import numpy as np
import pytest
import reference

from pepg_fast import PEPG, SGD, Adam, ClipUp, Optimizer

BUILT_IN = {
    "sgd": (SGD, {}),
    "nesterov": (SGD, {"nesterov": True}),
    "clipup": (ClipUp, {}),
}


def search(optimizer, dtype=np.float64, **arguments) -> PEPG:
    return PEPG(20, 30, 0.5, 0.3, 0.1, 0.1, optimizer=optimizer, rng=3, dtype=dtype, **arguments)


def run(es: PEPG, n: int = 8) -> PEPG:
    for _ in range(n):
        es.update(-((es.get_parameters() - 1.0) ** 2).sum(axis=1))
    return es


@pytest.mark.parametrize("rule", BUILT_IN)
def test_steps_follow_the_formula(rule, rng):
    kind, arguments = BUILT_IN[rule]
    optimizer, velocity = kind(0.2, **arguments), np.zeros((3, 2))
    for _ in range(4):
        gradient = rng.standard_normal((3, 2))
        step, velocity = reference.velocity_step(rule, gradient, velocity, 0.2, 0.9, 0.4)
        given = gradient.copy()
        np.testing.assert_allclose(optimizer(given), step, rtol=1e-12)
        np.testing.assert_array_equal(given, gradient)
    np.testing.assert_allclose(optimizer.velocity, velocity, rtol=1e-12)


@pytest.mark.parametrize("rule", BUILT_IN)
def test_a_subclass_is_called_and_gives_the_same_search(rule, dtype):
    kind, arguments = BUILT_IN[rule]
    calls = []

    class Watched(kind):
        def __call__(self, gradients):
            calls.append(np.linalg.norm(gradients))
            return super().__call__(gradients)

    built_in = run(search(kind, dtype, optimizer_kwargs=arguments))
    subclass = run(search(Watched, dtype, optimizer_kwargs=arguments))
    assert len(calls) == 8
    np.testing.assert_allclose(
        subclass.mu, built_in.mu, rtol=1e-12 if dtype == np.float64 else 1e-5
    )
    np.testing.assert_array_equal(subclass.sigma, built_in.sigma)


@pytest.mark.parametrize("rule", BUILT_IN)
def test_a_search_converges(rule):
    kind, arguments = BUILT_IN[rule]
    es = search(kind, l2_coeff=0.0, sigma_max=0.5, optimizer_kwargs=arguments)
    before = np.linalg.norm(es.mu - 1.0)
    assert np.linalg.norm(run(es, 300).mu - 1.0) < before / 4


@pytest.mark.parametrize("rule", BUILT_IN)
def test_equal_rewards_leave_a_finite_velocity(rule):
    kind, arguments = BUILT_IN[rule]
    es = search(kind, l2_coeff=0.0, optimizer_kwargs=arguments)
    for _ in range(3):
        es.get_parameters()
        es.update([1.0] * 20)
    np.testing.assert_array_equal(es.mu, 0.5)
    np.testing.assert_array_equal(es.optimizer.velocity, 0.0)


def test_clipup_keeps_to_its_speed():
    es = search(ClipUp, optimizer_kwargs={"max_speed": 0.15})
    for _ in range(10):
        before = es.mu.copy()
        run(es, 1)
        assert np.linalg.norm(es.mu - before) <= 0.15 * (1 + 1e-12)
    assert np.linalg.norm(es.optimizer.velocity) == pytest.approx(0.15, rel=1e-12)


def test_clipups_speed_is_twice_alpha_unless_given():
    assert ClipUp(0.1).max_speed == 0.2
    assert ClipUp(0.1, max_speed=0.7).max_speed == 0.7


def test_sgd_without_momentum_is_the_gradient():
    np.testing.assert_array_equal(SGD(0.5, momentum=0.0)([1.0, -2.0]), [-0.5, 1.0])


def test_sgd_with_a_rate_for_each_parameter():
    rates = np.linspace(0.0, 0.2, 30)
    each = run(PEPG(20, 30, 0.5, 0.3, rates, 0.1, optimizer=SGD, rng=3))
    assert each.mu[0] == 0.5
    same = run(PEPG(20, 30, 0.5, 0.3, np.full(30, 0.1), 0.1, optimizer=SGD, rng=3))
    np.testing.assert_allclose(same.mu, run(search(SGD)).mu, rtol=1e-12)


def test_the_width_of_the_gradients_is_kept(dtype):
    for kind in (SGD, ClipUp, Adam):
        optimizer = kind(0.1)
        assert optimizer(np.ones(3, dtype)).dtype == dtype


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SGD(0.1, momentum=1.0), "momentum: wanted a number from 0 to below 1, got 1.0"),
        (lambda: SGD(0.1, momentum=-0.1), "momentum: wanted"),
        (lambda: ClipUp(0.1, momentum=math.nan), "momentum: wanted a finite number, got nan"),
        (lambda: ClipUp(0.0), "alpha: wanted a number above 0, got 0.0"),
        (lambda: ClipUp(0.1, max_speed=-1), "max_speed: wanted a number above 0, got -1.0"),
        (lambda: SGD(0.1)([]), "gradients: wanted at least one number"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_clipup_wants_one_rate():
    with pytest.raises(TypeError, match="alpha: wanted a number"):
        ClipUp(np.ones(3))


def test_a_velocity_of_another_shape():
    optimizer = SGD(0.1)
    optimizer(np.ones(3))
    with pytest.raises(
        ValueError, match=r"SGD.velocity: wanted the gradients' shape \(4,\), got \(3,\)"
    ):
        optimizer(np.ones(4))


def test_sgd_and_clipup_are_optimizers():
    assert issubclass(SGD, Optimizer)
    assert issubclass(ClipUp, Optimizer)


def test_a_rate_that_is_not_a_number_changes_nothing():
    es = run(search(ClipUp), 2)
    es.get_parameters()
    es.optimizer.alpha = "fast"
    before = es.mu.copy(), es.sigma.copy(), es.optimizer.velocity.copy(), es.step
    with pytest.raises(TypeError):
        es.update(range(20))
    assert es.step == before[3]
    for got, kept in zip((es.mu, es.sigma, es.optimizer.velocity), before, strict=False):
        np.testing.assert_array_equal(got, kept)
    es.optimizer.alpha = 0.1
    es.update(range(20))

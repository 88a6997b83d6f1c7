"""kernels/sample.c: populations from noise."""

import numpy as np
import pytest

from pepg_fast import kernels

DIMS = [1, 3, 7, 8, 9, 15, 16, 17, 127, 128, 129, 1023, 1024, 1025, 3000]


def distribution(dim, dtype, rng):
    return np.array([rng.standard_normal(dim), rng.uniform(0.5, 2.0, dim)], dtype=dtype)


@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize("n_pairs", [1, 5])
def test_a_population_is_symmetric_around_mu(isa, dtype, dim, n_pairs, rng):
    drawn = distribution(dim, dtype, rng)
    noise, theta = np.empty((n_pairs, dim), np.float32), np.empty((2 * n_pairs, dim), dtype)
    kernels.sample(3, 4, 5, *drawn, None, noise, theta)
    epsilon = drawn[1] * noise.astype(dtype)
    np.testing.assert_array_equal(theta, np.concatenate([drawn[0] + epsilon, drawn[0] - epsilon]))
    alone = np.empty_like(noise)
    kernels.normals(3, 4, 5, alone)
    np.testing.assert_array_equal(noise, alone)


def test_storing_the_noise_does_not_change_the_population(isa, dtype, rng):
    drawn = distribution(2500, dtype, rng)
    stored, fresh = np.empty((2, 14, 2500), dtype)
    kernels.sample(3, 4, 0, *drawn, None, np.empty((7, 2500), np.float32), stored)
    kernels.sample(3, 4, 0, *drawn, None, None, fresh)
    np.testing.assert_array_equal(stored, fresh)


@pytest.mark.parametrize("dim", [9, 2500])
def test_one_member_is_that_member(isa, dtype, dim, rng):
    drawn = distribution(dim, dtype, rng)
    theta, member = np.empty((12, dim), dtype), np.empty(dim, dtype)
    kernels.sample(3, 4, 0, *drawn, None, None, theta)
    for pair in (0, 5):
        for minus in (False, True):
            kernels.sample_side(3, 4, pair, minus, drawn, member)
            np.testing.assert_array_equal(member, theta[pair + 6 * minus])


@pytest.mark.parametrize("dim", [1, 9, 1025])
def test_noise_from_elsewhere_is_mirrored(isa, dtype, dim, rng):
    mu, epsilon = (
        rng.standard_normal(dim).astype(dtype),
        rng.standard_normal((3, dim)).astype(dtype),
    )
    theta = np.empty((6, dim), dtype)
    kernels.mirror(mu, epsilon, theta)
    np.testing.assert_array_equal(theta, np.concatenate([mu + epsilon, mu - epsilon]))


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("mu", np.ones(3, np.int64)),
        ("sigma", np.ones(4)),
        ("drawn", np.ones((2, 2))),
        ("noise", np.empty((2, 3))),
        ("noise", np.empty((3, 3), np.float32)),
        ("theta", np.empty((4, 3), np.float32)),
        ("theta", np.empty((4, 6))[:, ::2]),
        ("theta", np.empty((4, 3), ">f8")),
    ],
)
def test_arrays_that_do_not_fit_are_named(argument, value):
    given = {
        "mu": np.ones(3),
        "sigma": np.ones(3),
        "drawn": np.ones((2, 3)),
        "noise": np.empty((2, 3), np.float32),
        "theta": np.empty((4, 3)),
    }
    with pytest.raises(ValueError, match=argument):
        kernels.sample(1, 1, 0, **(given | {argument: value}))


def test_a_read_only_output_is_refused():
    theta = np.zeros((4, 3))
    theta.flags.writeable = False
    with pytest.raises(ValueError, match="theta: wanted a writeable array"):
        kernels.sample(1, 1, 0, *np.ones((2, 3)), None, None, theta)


class TestRecycledArray:
    def test_memory_comes_back_once_nobody_holds_it(self):
        recycled = kernels.RecycledArray()
        first = recycled.empty(3, 4, np.dtype(float))
        address = first.ctypes.data
        del first
        assert recycled.empty(3, 4, np.dtype(float)).ctypes.data == address

    @pytest.mark.parametrize(
        "hold", [lambda a: a, lambda a: a[1], lambda a: memoryview(a), lambda a: a.T[:1]]
    )
    def test_memory_that_is_held_is_left_alone(self, hold):
        recycled = kernels.RecycledArray()
        held = hold(recycled.empty(3, 4, np.dtype(float)))
        before = np.array(held)
        recycled.empty(3, 4, np.dtype(float))[:] = 7.5
        assert not np.shares_memory(np.asarray(held), recycled.get())
        np.testing.assert_array_equal(np.array(held), before)

    def test_a_failed_allocation_keeps_the_old_array(self):
        recycled = kernels.RecycledArray()
        held = recycled.empty(3, 4, np.dtype(float))
        with pytest.raises(MemoryError):
            recycled.empty(2**26, 2**26, np.dtype(float))
        assert recycled.get() is held

    @pytest.mark.parametrize(("rows", "dtype"), [(4, float), (3, np.float32)])
    def test_another_shape_or_width_is_new(self, rows, dtype):
        recycled = kernels.RecycledArray()
        recycled.empty(3, 4, np.dtype(float))
        again = recycled.empty(rows, 4, np.dtype(dtype))
        assert again.shape == (rows, 4)
        assert again.dtype == dtype


@pytest.fixture(params=[True, False], ids=["past the caches", "through them"])
def stream(request):
    kernels.force_stores(request.param)
    yield request.param
    kernels.force_stores(None)


@pytest.mark.parametrize("dim", [1, 15, 1000, 1024, 2048, 6020])
@pytest.mark.parametrize("offset", [0, 1, 2, 5])
def test_a_population_past_the_caches_is_the_same(isa, dtype, stream, dim, offset, rng):
    """Rows have any length and alignment, and their two halves begin at the same place of a page or not."""
    drawn, pairs = distribution(dim, dtype, rng), 8
    memory, kept = np.full(2 * pairs * dim + 64, 7.0, dtype), np.full((pairs, dim), 7.0, np.float32)
    end = offset + 2 * pairs * dim
    kernels.sample(3, 4, 0, *drawn, None, kept, memory[offset:end].reshape(2 * pairs, dim))
    kernels.force_stores(False)
    wanted, noise = np.empty((2 * pairs, dim), dtype), np.empty((pairs, dim), np.float32)
    kernels.sample(3, 4, 0, *drawn, None, noise, wanted)
    np.testing.assert_array_equal(memory[offset:end].reshape(2 * pairs, dim), wanted)
    np.testing.assert_array_equal(kept, noise)
    assert (memory[:offset] == 7).all()
    assert (memory[end:] == 7).all()


@pytest.mark.parametrize("symmetric", [True, False])
def test_large_populations_are_written_both_ways_to_the_same_bits(dtype, symmetric, rng):
    """The first calls alternate between both ways to find the faster one."""
    drawn = distribution(600_000, dtype, rng)
    shape = (8 if symmetric else 4, 600_000)
    first, again = np.empty(shape, dtype), np.empty(shape, dtype)
    kernels.sample(3, 4, 0, *drawn, None, None, first, symmetric=symmetric)
    for _ in range(12):
        kernels.sample(3, 4, 0, *drawn, None, None, again, symmetric=symmetric)
        np.testing.assert_array_equal(again, first)


@pytest.mark.parametrize("dim", [1, 3, 17, 1025])
def test_clip_keeps_to_the_bounds(isa, dtype, dim, rng):
    lower, upper = np.sort(rng.standard_normal((2, dim)), axis=0).astype(dtype)
    lower[::3], upper[1::3] = -np.inf, np.inf
    values = (3 * rng.standard_normal((5, dim))).astype(dtype)
    wanted = np.clip(values, lower, upper)
    kernels.clip(lower, upper, values)
    np.testing.assert_array_equal(values, wanted)


@pytest.mark.usefixtures("teams")
def test_clip_on_a_team(dtype, rng):
    values = rng.standard_normal((64, 5000)).astype(dtype)
    bounds = np.full((2, 5000), 0.5, dtype) * [[-1], [1]]
    lower, upper = bounds.astype(dtype)
    wanted = np.clip(values, lower, upper)
    kernels.clip(lower, upper, values, 3)
    np.testing.assert_array_equal(values, wanted)


def test_without_the_mirrored_half_the_noise_is_the_same(isa, dtype):
    drawn = np.array([[0.5] * 9, [2.0] * 9], dtype)
    both, plus = np.empty((8, 9), dtype), np.empty((4, 9), dtype)
    kernels.sample(3, 4, 0, *drawn, None, None, both)
    kernels.sample(3, 4, 0, *drawn, None, None, plus, symmetric=False)
    np.testing.assert_array_equal(plus, both[:4])
    kernels.mirror(drawn[0], plus - drawn[0], plus, symmetric=False)
    np.testing.assert_allclose(plus, both[:4], rtol=1e-5)

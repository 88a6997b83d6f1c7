"""The environments of the examples: CartPole and Pendulum equal gymnasium's, and the swing-up solves its equations."""

import ctypes
import importlib.util
import math
import shutil
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
TOLERANCE = 1e-12  # absolute: states are of the order of 1, episodes amplify rounding little
EPISODES = 1000
NUMBERS = ctypes.POINTER(ctypes.c_double)


def module(path):
    """Return an example as a module."""
    spec = importlib.util.spec_from_file_location(f"example_{path.parent.name}_{path.stem}", path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


class Native:
    """Two native functions with their own buffers, called as a simulation calls them."""

    def __init__(self, reset, step, state_size, observation_size):
        self._reset, self._step = reset, step
        self.state = np.zeros(state_size)
        self.observation = np.zeros(observation_size)
        self._action, self._reward = np.zeros(1), np.zeros(1)
        self._pointers = [
            array.ctypes.data_as(NUMBERS)
            for array in (self.state, self._action, self.observation, self._reward)
        ]

    def reset(self, seed):
        state, _, observation, _ = self._pointers
        self.state[:] = 0.0
        self._reset(state, observation, seed, None)
        return self.state.copy()

    def step(self, action):
        """Make a step; return the reward, and whether the episode is over."""
        self._action[0], self._reward[0] = action, math.nan
        ended = self._step(*self._pointers, None)
        return self._reward[0], ended


@pytest.fixture(scope="module")
def c_cartpole_example():
    return module(EXAMPLES / "embedding" / "c_cartpole" / "train.py")


@pytest.fixture(scope="module")
def c_cartpole_library(c_cartpole_example, tmp_path_factory):
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    library = tmp_path_factory.mktemp("c_cartpole") / "cartpole.so"
    assert c_cartpole_example.build(library, compiler) == library
    return library


@pytest.fixture(scope="module")
def c_cartpole(c_cartpole_example, c_cartpole_library):
    return Native(*c_cartpole_example.load(c_cartpole_library), 4, 4)


@pytest.fixture(scope="module")
def numba_cartpole_example():
    pytest.importorskip("numba")
    return module(EXAMPLES / "embedding" / "numba_cartpole" / "cartpole.py")


@pytest.fixture(scope="module")
def numba_cartpole(numba_cartpole_example):
    example = numba_cartpole_example
    return Native(example.reset.ctypes, example.step.ctypes, 4, 4)


@pytest.fixture(params=["c_cartpole", "numba_cartpole"])
def cartpole(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def swingup_example():
    pytest.importorskip("numba")
    return module(EXAMPLES / "cartpole_swingup.py")


@pytest.fixture(scope="module")
def swingup(swingup_example):
    return Native(swingup_example.reset.ctypes, swingup_example.step.ctypes, 4, 5)


# ---- CartPole ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gymnasium_cartpole():
    gymnasium = pytest.importorskip("gymnasium")
    env = gymnasium.make("CartPole-v1")
    yield env
    env.close()


def test_cartpole_is_gymnasiums(cartpole, gymnasium_cartpole, rng):
    env = gymnasium_cartpole.unwrapped
    lengths = set()
    for episode in range(EPISODES):
        observation, _ = env.reset(seed=episode)
        cartpole.reset(episode)
        cartpole.state[:] = env.state
        terminated, length = False, 0
        while not terminated:
            push = rng.standard_normal()
            observation, reward, terminated, _, _ = env.step(int(push > 0.0))
            got_reward, ended = cartpole.step(push)
            length += 1
            assert (got_reward, ended) == (reward, int(terminated)), (episode, length)
            assert np.abs(cartpole.state - env.state).max() <= TOLERANCE, (episode, length)
            # the tolerance can straddle a rounding to float32: then one unit in its last place
            spacing = np.spacing(np.abs(observation))
            assert (np.abs(cartpole.observation - observation) <= spacing).all()
        lengths.add(length)
    assert len(lengths) > 20  # the episodes were not all alike


@pytest.mark.parametrize("start", [(2.39, 3.0, 0.0, 0.0), (-2.39, -3.0, 0.0, 0.0)])
def test_cartpole_ends_where_gymnasiums_does_at_the_track(cartpole, gymnasium_cartpole, start):
    env = gymnasium_cartpole.unwrapped
    env.reset(seed=0)
    env.state = np.array(start)
    cartpole.state[:] = start
    _, reward, terminated, _, _ = env.step(1)
    assert cartpole.step(1.0) == (reward, int(terminated)) == (1.0, 1)


def test_a_long_balanced_cartpole_episode_is_gymnasiums(cartpole, gymnasium_cartpole):
    gymnasium_cartpole.reset(seed=0)  # with the limit of 500 steps this time
    env = gymnasium_cartpole.unwrapped
    cartpole.reset(0)
    cartpole.state[:] = env.state
    for step in range(1, 501):
        x, x_dot, theta, theta_dot = env.state
        push = 0.1 * x + 0.3 * x_dot + 3.0 * theta + theta_dot
        _, reward, terminated, truncated, _ = gymnasium_cartpole.step(int(push > 0.0))
        assert cartpole.step(push) == (reward, int(terminated))
        assert np.abs(cartpole.state - env.state).max() <= TOLERANCE
        assert (terminated, truncated) == (False, step == 500)


def test_no_output_pushes_left(cartpole):
    cartpole.state[:] = 0.0
    cartpole.step(0.0)
    assert cartpole.state[1] < 0.0


def test_cartpole_starts_are_the_same_bits_in_c_and_numba(c_cartpole, numba_cartpole):
    for seed in [*range(1000), 2**63, 2**64 - 1]:
        assert (c_cartpole.reset(seed) == numba_cartpole.reset(seed)).all()
        assert (c_cartpole.observation == numba_cartpole.observation).all()


def test_splitmix64_has_its_known_answers(cartpole):
    # the first outputs for seed 1234567, as published with the generator's ports
    bits = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert cartpole.reset(1234567).tolist() == [((b >> 11) * 2.0**-53 - 0.5) * 0.1 for b in bits]


def test_cartpole_starts_are_uniform(cartpole):
    starts = np.array([cartpole.reset(seed) for seed in range(4000)])
    assert (cartpole.reset(17) == starts[17]).all()
    assert len(np.unique(starts)) == starts.size
    assert starts.min() >= -0.05
    assert starts.max() < 0.05
    # five standard errors of the mean and of the mean square of a uniform
    np.testing.assert_allclose(starts.mean(axis=0), 0.0, atol=5 * 0.1 / math.sqrt(12 * 4000))
    squares = (starts**2).mean(axis=0)
    np.testing.assert_allclose(squares, 0.1**2 / 12, rtol=5 * math.sqrt(0.8 / 4000))
    assert_unrelated(starts)


def assert_unrelated(starts):
    """Check that coordinates correlate neither with one another nor with those of the next seed."""
    both = np.hstack([starts[:-1], starts[1:]])
    correlations = np.corrcoef(both.T) - np.eye(both.shape[1])
    assert np.abs(correlations).max() < 5 / math.sqrt(len(both))


# ---- CartPoleSwingUp --------------------------------------------------------------------------


def swingup_reference(state, action):
    """Step many carts at once: return the next state, reward and end for states (n, 4) and actions (n,).

    The accelerations solve Lagrange's equations of a cart with friction b and a uniform rod (theta
    from upright), from which the example's quotients follow::

        (M + m) x'' - (m l / 2) cos(theta) theta'' = F - b x' - (m l / 2) sin(theta) theta'^2
        (m l^2 / 3) theta'' - (m l / 2) cos(theta) x'' = (m l / 2) g sin(theta)
    """
    cart, pole, length, friction, gravity, time_step = 0.5, 0.5, 0.6, 0.1, 9.82, 0.01
    _, x_dot, theta, theta_dot = state.T
    sine, cosine = np.sin(theta), np.cos(theta)
    lever = pole * length / 2
    mass = np.empty((len(state), 2, 2))
    mass[:, 0, 0], mass[:, 1, 1] = cart + pole, pole * length**2 / 3
    mass[:, 0, 1] = mass[:, 1, 0] = -lever * cosine
    force = 10.0 * np.clip(action, -1.0, 1.0) - friction * x_dot - lever * sine * theta_dot**2
    forces = np.stack([force, lever * gravity * sine], axis=1)
    x_acc, theta_acc = np.linalg.solve(mass, forces[:, :, None])[:, :, 0].T
    after = state + time_step * np.stack([x_dot, x_acc, theta_dot, theta_acc], axis=1)
    reward = (np.cos(after[:, 2]) + 1) / 2 * np.cos(after[:, 0] / 2.4 * np.pi / 2)
    return after, reward, np.abs(after[:, 0]) > 2.4


def test_a_swingup_step_is_the_equations(swingup, rng):
    n = 20_000
    states = rng.uniform([-2.6, -5.0, -8.0, -10.0], [2.6, 5.0, 8.0, 10.0], (n, 4))
    actions = rng.uniform(-1.5, 1.5, n)
    expected, rewards, ends = swingup_reference(states, actions)
    assert 0 < ends.sum() < n
    for i in range(n):
        swingup.state[:] = states[i]
        reward, ended = swingup.step(actions[i])
        x, x_dot, theta, theta_dot = expected[i]
        assert np.abs(swingup.state - expected[i]).max() <= TOLERANCE
        shown = (x, x_dot, math.cos(theta), math.sin(theta), theta_dot)
        assert np.abs(swingup.observation - shown).max() <= TOLERANCE
        assert abs(reward - rewards[i]) <= TOLERANCE
        assert ended == ends[i]


def test_swingup_rewards_are_at_most_one(swingup, rng):
    least, most = math.inf, -math.inf
    for seed in range(50):
        swingup.reset(seed)
        for _ in range(1000):
            reward, ended = swingup.step(rng.standard_normal())
            least, most = min(least, reward), max(most, reward)
            if ended:
                break
    assert most <= 1.0
    # one step carries the cart centimetres beyond the end, where the cosine is just negative
    assert least > -0.05
    swingup.state[:] = 0.0
    assert swingup.step(0.0) == (1.0, 0)


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_swingup_ends_beyond_the_track(swingup, side):
    swingup.state[:] = (2.39 * side, 0.5 * side, math.pi, 0.0)
    assert swingup.step(0.0)[1] == 0
    swingup.state[:] = (2.39 * side, 1.5 * side, math.pi, 0.0)
    assert swingup.step(0.0)[1] == 1


def test_swingup_clips_the_action(swingup):
    ends = []
    for action in (1.0, 7.0, 1e300):
        swingup.state[:] = (0.0, 0.0, math.pi, 0.0)
        swingup.step(action)
        ends.append(swingup.state.copy())
    assert (ends[0] == ends[1]).all()
    assert (ends[0] == ends[2]).all()


def test_swingup_starts_hang_normally_distributed(swingup):
    starts = np.array([swingup.reset(seed) for seed in range(4000)])
    assert (swingup.reset(17) == starts[17]).all()
    x, x_dot, theta, theta_dot = starts[17]
    observation = (x, x_dot, math.cos(theta), math.sin(theta), theta_dot)
    np.testing.assert_allclose(swingup.observation, observation, rtol=0, atol=TOLERANCE)
    normals = (starts - [0.0, 0.0, math.pi, 0.0]) / 0.2
    assert len(np.unique(normals)) == normals.size
    error = 1 / math.sqrt(4000)
    np.testing.assert_allclose(normals.mean(axis=0), 0.0, atol=5 * error)
    np.testing.assert_allclose((normals**2).mean(axis=0), 1.0, atol=5 * math.sqrt(2) * error)
    np.testing.assert_allclose((normals**4).mean(axis=0), 3.0, atol=5 * math.sqrt(96) * error)
    assert_unrelated(normals)
    assert np.isfinite(swingup.reset(2**64 - 1)).all()


def test_the_swingup_policy_has_the_published_size(swingup_example):
    assert swingup_example.make_network().number_of_parameters == 4609


@pytest.mark.parametrize("kind", ["c", "numba"])
def test_cartpole_is_learned(kind, request, capsys):
    example = request.getfixturevalue(f"{kind}_cartpole_example")
    library = (request.getfixturevalue("c_cartpole_library"),) if kind == "c" else ()
    _, score = example.train(example.simulation(*library), seed=1, generations=60)
    assert score >= example.SOLVED
    assert "center" in capsys.readouterr().out


def test_a_short_swingup_run_improves(swingup_example):
    """The published run cut to 20 of its 1000 generations: from 0 to above 300 of 1000."""
    lines = []
    es, returns = swingup_example.train(20, seed=0, report_every=10, report=lines.append)
    assert es.step == 20
    assert len(lines) == 2
    assert returns.shape == (swingup_example.TESTS,)
    assert returns.mean() > 300.0


def test_a_swingup_run_has_the_same_bits_at_any_number_of_threads(swingup_example):
    one, three = (
        swingup_example.train(3, seed=0, report_every=100, n_threads=n)[0] for n in (1, 3)
    )
    assert (one.mu == three.mu).all()


def test_the_swingups_program_says_what_it_does(swingup_example, capsys, monkeypatch):
    arguments = [
        "cartpole_swingup.py",
        "--generations",
        "2",
        "--population",
        "4",
        "--episodes",
        "2",
    ]
    monkeypatch.setattr("sys.argv", arguments)
    swingup_example.main()
    assert "Center after 2 generations" in capsys.readouterr().out


# ---- Pendulum without its velocity ------------------------------------------------------------


@pytest.fixture(scope="module")
def pendulum_example():
    pytest.importorskip("numba")
    return module(EXAMPLES / "pendulum_without_velocity.py")


def test_the_pendulum_is_gymnasiums_without_its_velocity(pendulum_example, rng):
    gymnasium = pytest.importorskip("gymnasium")
    ours = Native(pendulum_example.reset.ctypes, pendulum_example.step.ctypes, 2, 2)
    theirs = gymnasium.make("Pendulum-v1").unwrapped
    for seed in range(50):
        theirs.reset(seed=seed)
        ours.reset(seed)
        ours.state[:] = theirs.state
        for action in rng.uniform(-3.0, 3.0, 200):
            seen, wanted, *_ = theirs.step(np.array([action]))
            reward, ended = ours.step(action)
            assert not ended
            assert abs(reward - wanted) <= 1e-9
            assert np.abs(ours.state - theirs.state).max() <= 1e-9
            assert np.abs(ours.observation - seen[:2]).max() <= 1e-6


def test_the_pendulum_starts_as_gymnasiums_does(pendulum_example):
    ours = Native(pendulum_example.reset.ctypes, pendulum_example.step.ctypes, 2, 2)
    starts = np.array([ours.reset(seed) for seed in range(4000)]) / [math.pi, 1.0]
    assert starts.min() >= -1.0
    assert starts.max() < 1.0
    np.testing.assert_allclose(starts.mean(axis=0), 0.0, atol=5 / math.sqrt(3 * 4000))
    np.testing.assert_allclose((starts**2).mean(axis=0), 1 / 3, rtol=5 * math.sqrt(0.8 / 4000))
    assert_unrelated(starts)


@pytest.mark.parametrize("cell", ["gru", "none"])
def test_the_pendulums_program_says_what_it_does(pendulum_example, cell, capsys, monkeypatch):
    pytest.importorskip("gymnasium")
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.setattr("sys.argv", ["pendulum", "--generations", "10", "--cell", cell])
    pendulum_example.main()
    shown = capsys.readouterr().out
    assert "center by generation: 10: -" in shown
    assert "in Gymnasium: mean -" in shown

"""After any calls in any order, a search equals the model."""

import copy
import os
import pickle
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from model import Model, Settings
from tolerance import rtol_of

from pepg_fast import PEPG, SGD, Adam, ClipUp
from pepg_fast.storage import checkpoints

#: More of them for a long run: `.ci/reliability any-order`, which draws new ones each time.
EXAMPLES = int(os.environ.get("PEPG_FAST_EXAMPLES", "0"))

NUMBERS = st.one_of(
    st.floats(-100, 100), st.integers(-2, 2), st.sampled_from([0.0, -0.0, 5e-324, -1e-310])
)
HUGE = st.sampled_from([np.inf, -np.inf, 1e308, -1e308, 10**300])
BAD_REWARDS = {
    "one too few": lambda n: [0.0] * (n - 1),
    "one too many": lambda n: np.zeros(n + 1),
    "a NaN": lambda n: [0.0] * (n - 1) + [np.nan],
    "a NaN first, float32": lambda n: np.array([np.nan] + [1] * (n - 1), np.float32),
    "two dimensions": lambda n: np.zeros((n, 1)),
    "text": lambda n: ["a"] * n,
    "complex": lambda n: np.full(n, 1j),
    "nothing": lambda n: None,
    "an int beyond floats": lambda n: ["x"] + [10**400] * (n - 1),
    "objects": lambda n: [object()] * n,
}
BAD_MATRICES = {
    "NaN": lambda n, d: np.full((n, d), np.nan),
    "infinity": lambda n, d: [[np.inf] * d] * n,
    "a row too many": lambda n, d: np.zeros((n + 1, d)),
    "flat": lambda n, d: np.zeros(n * d),
    "text": lambda n, d: [["x"] * d] * n,
    "masked": lambda n, d: np.ma.array(np.zeros((n, d)), mask=True),
    "complex": lambda n, d: np.full((n, d), 1j),
    "nothing": lambda n, d: None,
}
BAD_VECTORS = ([np.inf], np.nan, "x", [[0.1]], [0.1] * 9, {}, 1j, None)


def options(s: Settings, dtype: str) -> dict:
    kind, more = {
        "adam": (Adam, {}),
        "sgd": (SGD, {"momentum": s.momentum}),
        "nesterov": (SGD, {"momentum": s.momentum, "nesterov": True}),
        "clipup": (ClipUp, {"momentum": s.momentum, "max_speed": s.max_speed}),
    }[s.optimizer]
    return {
        "population_size": s.size, "theta_size": s.dim, "mu_init": s.mu_init, "sigma_init": s.sigma_init,
        "mu_lr": s.mu_lr, "sigma_lr": s.sigma_lr, "l2_coeff": s.l2, "optimizer": kind, "optimizer_kwargs": more,
        "rng": s.seed, "dtype": dtype, "fitness_shaping": s.shaping, "maximize": s.maximize,
        "symmetric": s.symmetric, "sigma_max_change": s.sigma_max_change if s.sigma_max_change < np.inf else None,
        "sigma_max": s.sigma_max, "lower": None if s.box is None else -s.box, "upper": s.box,
    }  # fmt: skip


class Search(RuleBasedStateMachine):
    """A search, and the model that it has to equal."""

    dtype = "float64"

    @initialize(
        pairs=st.integers(1, 5),
        dim=st.integers(1, 6),
        seed=st.integers(0, 2**64),
        symmetric=st.booleans(),
        maximize=st.booleans(),
        optimizer=st.sampled_from(["adam", "sgd", "nesterov", "clipup"]),
        shaping=st.sampled_from(["centered", "centered", "raw"]),
        limits=st.sampled_from([(np.inf, np.inf), (0.2, np.inf), (np.inf, 0.9)]),
        box=st.sampled_from([None, None, 0.5]),
    )
    def start(self, pairs, dim, seed, symmetric, maximize, optimizer, shaping, limits, box):
        s = Settings(2 * pairs, dim, seed, symmetric, maximize, optimizer, shaping, *limits, box)
        self.model, self.es = Model(s), PEPG(**options(s, self.dtype))
        self.theta = None  # the candidates, as far as this program holds them
        self.rtol = 4 * rtol_of(self.dtype)
        self.folder = tempfile.TemporaryDirectory()

    def teardown(self):
        if hasattr(self, "folder"):
            self.folder.cleanup()

    def close(self, got, wanted, scale=1.0):
        atol = self.rtol * max(scale, float(np.max(np.abs(wanted), initial=0)))
        np.testing.assert_allclose(got, wanted, rtol=self.rtol, atol=atol)

    # ---- ask ----

    def drew(self, theta):
        """Compare a native draw with that of the model, and continue with the native noise, which has fewer bits."""
        wanted = self.model.draw()
        np.testing.assert_allclose(theta, wanted, rtol=1e-5, atol=1e-5 * (1 + np.abs(wanted).max()))
        self.model.epsilon = np.array(self.es.epsilon, dtype=np.float64)

    @rule(hold=st.booleans())
    def ask(self, hold):
        theta = self.es.get_parameters()
        self.drew(theta)
        self.theta = theta if hold else None

    @rule()
    def ask_into_own_memory(self):
        out = np.empty((self.model.size, self.model.settings.dim), self.dtype)
        self.theta = self.es.ask(out=out)
        assert self.theta is out
        self.drew(out)

    @rule(rows=st.integers(1, 7))
    def ask_in_chunks(self, rows):
        theta = np.full((self.model.size, self.model.settings.dim), np.nan)
        for members, part in self.es.iter_parameters(2 * rows):
            theta[members] = part
        self.drew(theta)
        self.theta = None

    @precondition(lambda self: self.theta is not None and self.model.is_pending)
    @rule(value=st.floats(-2, 2))
    def change_a_candidate(self, value):
        self.theta[-1] = value

    @rule(data=st.data())
    def bring_noise(self, data):
        s = self.model.settings
        count = self.model.n_draws * s.dim
        noise = data.draw(st.lists(st.floats(-3, 3, width=32), min_size=count, max_size=count))
        noise = np.reshape(noise, (self.model.n_draws, s.dim))
        was_pending = self.model.is_pending
        self.es.epsilon = noise
        theta = self.model.take_noise(noise.copy())
        if not was_pending:
            self.model.generation += 1
            self.close(self.es.theta, theta)
            self.theta = None

    # ---- tell ----

    @precondition(lambda self: self.model.is_pending)
    @rule(
        data=st.data(), kind=st.sampled_from(["list", "array", "float32", "big-endian", "strided"])
    )
    def tell(self, data, kind):
        n = self.model.size
        number = (
            NUMBERS if self.model.settings.shaping == "raw" or kind == "float32" else NUMBERS | HUGE
        )
        rewards = data.draw(st.lists(number, min_size=n, max_size=n))
        given = {
            "list": lambda: rewards,
            "array": lambda: np.array(rewards, np.float64),
            "float32": lambda: np.array(rewards, np.float32),
            "big-endian": lambda: np.array(rewards, ">f8"),
            "strided": lambda: np.repeat(np.array(rewards, np.float64), 3)[::3],
        }[kind]()
        theta = np.array(self.es.theta, dtype=np.float64)
        self.es.update(given)
        self.model.take_rewards(np.asarray(given, dtype=np.float64), theta)
        self.theta = None
        self.compare_distribution()

    def compare_distribution(self):
        model, es = self.model, self.es
        scale = 1.0
        if model.settings.shaping == "raw":
            scale = 100 * float(np.abs(model.epsilon).max(initial=1)) ** 2 / model.drawn[1].min()
        self.close(es.mu, model.mu, scale)
        self.close(es.sigma, model.sigma, scale)
        # from here on with the package's own rounding, so that it does not add up
        model.mu, model.sigma = es.mu.astype(np.float64), es.sigma.astype(np.float64)
        names = ("m", "v") if model.settings.optimizer == "adam" else ("velocity",)
        for i, name in enumerate(names):
            got = getattr(es.optimizer, name)
            self.close(got, model.moments[i], scale**2)
            model.moments[i] = got.astype(np.float64)

    @precondition(lambda self: self.model.is_pending)
    @rule(name=st.sampled_from(list(BAD_REWARDS)))
    def tell_nonsense(self, name):
        self.refuses(
            (ValueError, TypeError), lambda: self.es.update(BAD_REWARDS[name](self.model.size))
        )

    @precondition(lambda self: not self.model.is_pending)
    @rule()
    def tell_too_early(self):
        self.refuses(RuntimeError, lambda: self.es.update(np.zeros(self.model.size)))

    def refuses(self, error, action):
        before = checkpoints.to_state(self.es)
        with pytest.raises(error):
            action()
        np.testing.assert_equal(checkpoints.to_state(self.es), before)

    # ---- assign ----

    @rule(mu=st.floats(-5, 5, width=32), as_array=st.booleans())
    def assign_mu(self, mu, as_array):
        self.es.mu = np.full(self.model.settings.dim, mu)[::1] if as_array else mu
        self.model.mu = np.full(self.model.settings.dim, mu)

    @rule(sigma=st.floats(0.0625, 0.875, width=32))
    def assign_sigma(self, sigma):
        self.es.sigma = [sigma] * self.model.settings.dim
        self.model.sigma = np.full(self.model.settings.dim, sigma)

    @rule(name=st.sampled_from(["mu", "sigma"]), value=st.sampled_from(BAD_VECTORS))
    def assign_nonsense(self, name, value):
        self.refuses((ValueError, TypeError), lambda: setattr(self.es, name, value))

    @rule(value=st.sampled_from([0.0, -1.0, 1e300]))
    def assign_a_sigma_beyond_its_limits(self, value):
        if value < self.model.settings.sigma_max and value > 0:
            value = -value
        self.refuses(ValueError, lambda: setattr(self.es, "sigma", value))

    @rule(pairs=st.integers(1, 5))
    def assign_population_size(self, pairs):
        self.es.population_size = 2 * pairs
        self.model.resize(2 * pairs)
        self.theta = None

    @rule(size=st.sampled_from([0, 1, -2, 2.5, "4", None]))
    def assign_a_nonsense_size(self, size):
        self.refuses((ValueError, TypeError), lambda: setattr(self.es, "population_size", size))

    @rule(n=st.sampled_from([None, 1, 2, 3, 4]))
    def assign_threads(self, n):
        self.es.n_threads = n
        assert self.es.n_threads == (n or 0)

    @rule(n=st.sampled_from([-1, 1.5, "2", 2**31, 10**30, np.nan]))
    def assign_nonsense_threads(self, n):
        self.refuses((ValueError, TypeError), lambda: setattr(self.es, "n_threads", n))

    @rule(name=st.sampled_from(["epsilon", "theta"]), kind=st.sampled_from(list(BAD_MATRICES)))
    def assign_nonsense_noise_or_candidates(self, name, kind):
        if name == "theta" and kind in ("NaN", "infinity"):
            return  # a user's own candidates may be anything
        rows = self.model.n_draws if name == "epsilon" else self.model.size
        value = BAD_MATRICES[kind](rows, self.model.settings.dim)
        self.refuses((ValueError, TypeError), lambda: setattr(self.es, name, value))

    @precondition(lambda self: self.model.is_pending)
    @rule(value=st.floats(-2, 2, width=32))
    def assign_candidates(self, value):
        theta = np.full((self.model.size, self.model.settings.dim), value)
        self.es.theta = theta
        np.testing.assert_array_equal(self.es.theta, theta)
        self.theta = None

    # ---- copies ----

    @rule(how=st.sampled_from(["file", "deepcopy", *range(2, pickle.HIGHEST_PROTOCOL + 1)]))
    def become_a_copy(self, how):
        before = checkpoints.to_state(self.es)
        if how == "file":
            path = Path(self.folder.name) / "search.npz"
            self.es.save_checkpoint(path)
            assert os.listdir(self.folder.name) == ["search.npz"]
            self.es = PEPG.load_checkpoint(path)
        elif how == "deepcopy":
            self.es = copy.deepcopy(self.es)
        else:
            self.es = pickle.loads(pickle.dumps(self.es, protocol=how))
        np.testing.assert_equal(checkpoints.to_state(self.es), before)
        self.theta = None

    @rule()
    def save_best(self):
        path = Path(self.folder.name) / "best.npz"
        self.es.save_best(path)
        for got, wanted in zip(
            PEPG.load_best(path),
            (self.es.best_theta, self.es.best_mu, self.es.best_sigma),
            strict=True,
        ):
            np.testing.assert_array_equal(got, wanted)
        path.unlink()

    # ---- always ----

    @invariant()
    def agrees(self):
        if not hasattr(self, "es"):
            return
        es, model = self.es, self.model
        assert (es.step, es.evaluations) == (model.step, model.evaluations)
        assert (es.is_pending, es.population_size) == (model.is_pending, model.size)
        assert float(es.best_fitness) == model.best_fitness
        np.testing.assert_array_equal(es.mu, model.mu.astype(self.dtype))
        np.testing.assert_array_equal(es.sigma, model.sigma.astype(self.dtype))
        assert (es.sigma > 0).all()
        if model.best is None:
            assert es.best_theta is es.best_mu is es.best_sigma is None
        else:
            for got, wanted in zip(
                (es.best_theta, es.best_mu, es.best_sigma), model.best, strict=True
            ):
                self.close(got, wanted)


class Float32Search(Search):
    dtype = "float32"


@pytest.mark.parametrize("machine", [Search, Float32Search])
def test_any_order_of_everything(machine):
    checks = settings(
        max_examples=EXAMPLES or 40,
        stateful_step_count=40,
        derandomize=not EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.generate] + [Phase.shrink] * bool(EXAMPLES),  # which may take minutes
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=checks)

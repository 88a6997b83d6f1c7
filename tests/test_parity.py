"""pepg-es is the oracle: this package has the same names and the same numbers."""

import inspect

import numpy as np
import pepg
import pytest
from tolerance import assert_close

import pepg_fast

HYPERPARAMETERS = {"mu_init": 0.5, "sigma_init": 2.0, "mu_lr": 0.3, "sigma_lr": 0.2}


def distinct_rewards(population, rng):
    return list(rng.permutation(population) * 0.5)


class CustomOptimizer:
    """The README's custom optimizer, for either package."""

    def __init__(self, alpha, parameter, another_parameter):
        self.alpha = alpha
        self.parameter = parameter
        self.another_parameter = another_parameter

    def __call__(self, gradients):
        gradients = (gradients + self.parameter) * self.another_parameter
        return -self.alpha * gradients


def custom(base):
    return type("CustomOptimizer", (CustomOptimizer, base), {})


OPTIMIZERS = {
    "default": lambda package: {},
    "adam": lambda package: {
        "optimizer": package.Adam,
        "optimizer_kwargs": {"beta_1": 0.8, "epsilon": 1e-3},
    },
    "adam-subclass": lambda package: {"optimizer": type("Mine", (package.Adam,), {})},
    "custom": lambda package: {
        "optimizer": custom(package.Optimizer),
        "optimizer_kwargs": {"parameter": 0.3, "another_parameter": 0.2},
    },
}


def both(population, dim, optimizer="default", **kwargs):
    arguments = HYPERPARAMETERS | kwargs
    original = pepg.PEPG(population, dim, **arguments, **OPTIMIZERS[optimizer](pepg))
    ours = pepg_fast.PEPG(
        population,
        dim,
        **arguments,
        **OPTIMIZERS[optimizer](pepg_fast),
        rng=np.random.RandomState(5),
    )
    return original, ours


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(("population", "dim"), [(2, 1), (4, 3), (100, 9), (300, 40), (30, 3000)])
def test_one_update_after_another_agrees_with_the_original(isa, population, dim, optimizer):
    original, ours = both(population, dim, optimizer)
    rng = np.random.default_rng(1)
    np.random.seed(5)
    for step in range(1, 4):
        theta, wanted = ours.get_parameters(), original.get_parameters()
        assert_close(theta, wanted, 1e-14 if step == 1 else 1e-11)
        assert_close(ours.epsilon, original.epsilon, 1e-14 if step == 1 else 1e-11)
        rewards = distinct_rewards(population, rng)
        original.update(rewards)
        ours.update(rewards)
        # the first steps of Adam divide the gradient by its own size, which keeps its relative error
        assert_close(ours.mu, original.mu, 1e-12 * 10**step)
        assert_close(ours.sigma, original.sigma, 1e-12 * step)
        assert ours.step == original.step == step
        assert ours.best_fitness == original.best_fitness
        assert_close(ours.best_theta, original.best_theta, 1e-12 * 10**step)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_single_update_from_the_same_noise_agrees_to_1e_12(isa, optimizer, rng):
    original, ours = both(256, 602, optimizer)
    np.random.seed(5)
    original.get_parameters()
    ours.epsilon = original.epsilon
    rewards = distinct_rewards(256, rng)
    original.update(rewards)
    ours.update(rewards)
    assert_close(ours.mu, original.mu, 1e-12)
    assert_close(ours.sigma, original.sigma, 1e-12)


def test_ties_in_argsort_order_are_the_originals():
    original, ours = both(100, 9)
    ours.ties = "argsort"
    np.random.seed(5)
    for _ in range(3):
        ours.get_parameters()
        original.get_parameters()
        rewards = [int(x) for x in np.random.default_rng(3).integers(0, 3, 100) ** 2]
        original.update(rewards)
        ours.update(rewards)
    assert_close(ours.mu, original.mu, 1e-9)


@pytest.mark.parametrize(
    "rng",
    [np.random.RandomState(5), np.random.default_rng(5), np.random],
    ids=["RandomState", "Generator", "numpy.random"],
)
def test_a_numpy_generator_is_drawn_from_as_the_original_draws(rng):
    es = pepg_fast.PEPG(10, 7, **HYPERPARAMETERS, rng=rng)
    np.random.seed(5)
    epsilon = es.get_parameters()[:5] - 0.5
    twin = (
        np.random.default_rng(5)
        if isinstance(rng, np.random.Generator)
        else np.random.RandomState(5)
    )
    np.testing.assert_allclose(
        epsilon, twin.normal(0.0, np.full(7, 2.0), (5, 7)), rtol=1e-13, atol=1e-15
    )
    following = rng.standard_normal()
    assert following == twin.standard_normal()


NETWORKS = [
    ((2, 1, [2]), {"hidden_activation": "sigmoid", "output_activation": "sigmoid"}),
    ((24, 4, [64, 64]), {"hidden_activation": "tanh"}),
    ((3, 2), {}),
    ((3, 2), {"bias": False}),
    ((376, 17, [256, 256]), {"hidden_activation": "tanh", "output_activation": "tanh"}),
    ((5, 3, [1, 9]), {"hidden_activation": "sigmoid", "output_activation": "tanh"}),
]


@pytest.mark.parametrize(("sizes", "options"), NETWORKS)
@pytest.mark.parametrize("python", [False, True], ids=["native", "python"])
def test_a_forward_pass_agrees_with_the_original(isa, sizes, options, python, rng):
    def activations(package):
        functions = {
            name: getattr(package, value) for name, value in options.items() if name != "bias"
        }
        wrapped = {name: (lambda x, f=f: f(x)) for name, f in functions.items()}
        return (wrapped if python else functions) | {
            k: v for k, v in options.items() if k == "bias"
        }

    original = pepg.NeuralNetwork(*sizes, **activations(pepg))
    ours = pepg_fast.NeuralNetwork(*sizes, **activations(pepg_fast))
    assert ours.number_of_parameters == original.number_of_parameters
    np.testing.assert_array_equal(ours.sizes, original.sizes)
    weights = rng.standard_normal(original.number_of_parameters) / np.sqrt(max(original.sizes))
    original.weights = ours.weights = weights
    for _ in range(5):
        x = rng.standard_normal(sizes[0])
        np.testing.assert_allclose(ours(x), original(x), rtol=1e-12, atol=1e-13)


def test_every_public_name_is_there():
    own = {
        "np",
        "pickle",
        "List",
        "Callable",
        "ABC",
        "abstractmethod",
        "lru_cache",
    }  # imports that leaked
    names = {name for name in dir(pepg) if not name.startswith("_")} - own
    assert names <= set(dir(pepg_fast))
    for module in ("pepg", "nn", "optimizers"):
        original = getattr(pepg, module)
        defined = {
            name
            for name, value in vars(original).items()
            if getattr(value, "__module__", "") == original.__name__
        }
        assert defined <= set(dir(getattr(pepg_fast, module)))


@pytest.mark.parametrize(
    "name",
    ["PEPG", "PEPG.get_parameters", "PEPG.update", "PEPG.save_checkpoint", "PEPG.load_checkpoint", "PEPG.save_best",
     "PEPG.load_best", "NeuralNetwork", "NeuralNetwork.__call__", "NeuralNetwork.save_network",
     "NeuralNetwork.load_network", "Adam", "Adam.__call__", "Optimizer", "sigmoid", "tanh", "compute_ranks",
     "fitness_transformation", "center_function", "utility_function"],
)  # fmt: skip
def test_arguments_keep_their_names_and_places(name):
    def resolve(package):
        found = package
        for part in name.split("."):
            found = getattr(found, part)
        return list(inspect.signature(found).parameters.values())

    def positional(parameters):
        kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        return [parameter.name for parameter in parameters if parameter.kind in kinds]

    ours, original = positional(resolve(pepg_fast)), positional(resolve(pepg))
    assert ours[: len(original)] == original
    optional = [p for p in resolve(pepg_fast) if p.name not in original and p.name != "self"]
    assert all(p.default is not p.empty for p in optional)


def test_every_attribute_of_the_original_is_there():
    original, ours = both(4, 3)
    original.get_parameters()
    ours.get_parameters()
    assert all(hasattr(ours, name) for name in vars(original))
    network = pepg.NeuralNetwork(2, 1)
    assert all(hasattr(pepg_fast.NeuralNetwork(2, 1), name) for name in vars(network))
    adam = pepg.Adam(0.1)
    assert vars(pepg_fast.Adam(0.1)) == vars(adam)


@pytest.mark.parametrize("n", [2, 3, 10, 101])
def test_shaping_helpers_agree_with_the_original(n, rng):
    scores = rng.integers(0, 5, n)
    np.testing.assert_array_equal(pepg_fast.compute_ranks(scores), pepg.compute_ranks(scores))
    np.testing.assert_array_equal(pepg_fast.center_function(n), pepg.center_function(n))
    np.testing.assert_allclose(pepg_fast.utility_function(n), pepg.utility_function(n), rtol=1e-14)
    np.testing.assert_array_equal(
        pepg_fast.fitness_transformation(list(scores)), pepg.fitness_transformation(list(scores))
    )


def test_shaping_helpers_share_nothing_between_calls():
    pepg_fast.center_function(5)[0] = 99
    assert pepg_fast.center_function(5)[0] == -0.5
    assert pepg_fast.center_function(1) == [0.0]
    with pytest.raises(ValueError, match="population_size: wanted at least 1, got 0"):
        pepg_fast.utility_function(0)


@pytest.mark.parametrize("x", [3.0, -3.0, [-2.0, 0.0, 2.0], np.linspace(-30, 30, 7)])
def test_activation_functions_agree_with_the_original(x):
    np.testing.assert_allclose(
        pepg_fast.sigmoid(np.asarray(x)), pepg.sigmoid(np.asarray(x)), rtol=1e-14
    )
    np.testing.assert_array_equal(pepg_fast.tanh(x), pepg.tanh(x))
    assert type(pepg_fast.sigmoid(0.5)) is type(pepg.sigmoid(0.5))


def test_sigmoid_does_not_overflow():
    np.testing.assert_array_equal(pepg_fast.sigmoid(np.array([-1e4, 1e4])), [0.0, 1.0])

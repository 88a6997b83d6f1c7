"""The files in `tests/data/written_before`, the code that wrote them, and what a reader has to find in them.

``python tests/written_before.py FOLDER`` wrote them with the version that the file `VERSION` there names. They are not
written again: later versions must read them and continue with the same bits.
"""

import hashlib
import json
import math
import os
import shutil
import sys
from pathlib import Path

import numpy as np

from pepg_fast import PEPG, SGD, Adam, ClipUp, Decay, NeuralNetwork

FOLDER = Path(__file__).parent / "data" / "written_before"
MORE = 5


def reward(theta) -> float:
    """Return a reward that is exact up to one rounding, and so the same number everywhere."""
    return -math.fsum((theta.astype(float) - 1.0) ** 2)


def _search(**settings) -> PEPG:
    given = {"sigma_init": 1.0, "mu_lr": 0.1, "sigma_lr": 0.1, "rng": 5} | settings
    return PEPG(12, 7, 0.25, **given)


def _advance(es: PEPG, digest=None, generations: int = 3) -> PEPG:
    for _ in range(generations):
        step = es.step
        while es.step == step:
            theta = es.theta if es.is_pending else es.get_parameters()
            if digest is not None:
                digest.update(theta.tobytes())
            told = {} if es.num_interactions is None else {"interactions": 10}
            es.update([reward(one) for one in theta], **told)
    return es


def _pending(es: PEPG) -> PEPG:
    es.get_parameters()
    return es


def _edited(es: PEPG) -> PEPG:
    es.get_parameters()[3] = 0.5
    return es


def _with_noise(es: PEPG) -> PEPG:
    es.get_parameters()
    es.epsilon = np.linspace(-1, 1, 6 * 7).reshape(6, 7)
    return es


def _half_told(es: PEPG) -> PEPG:
    theta = es.get_parameters()
    es.update([reward(one) for one in theta], interactions=10)
    return es


def _with_attributes(es: PEPG) -> PEPG:
    es.title, es.notes = "a title", {"numbers": np.arange(3.0), "pair": (1, None)}
    return es


def searches() -> dict[str, PEPG]:
    """Return a search for each part of a checkpoint, after some generations."""
    box = {"lower": -0.5, "upper": [1.5] * 6 + [math.inf], "fitness_shaping": "raw"}
    limits = {"sigma_max_change": 0.2, "sigma_min": 0.01, "sigma_max": [1.5] * 7}
    return {
        "new": _search(),
        "adam": _advance(_search()),
        "adam_float32": _advance(_search(dtype=np.float32, keep_gradient=True)),
        "adam_second_form": _advance(_search(optimizer_kwargs={"eps_hat": False})),
        "sgd": _advance(_search(optimizer=SGD, **limits)),
        "nesterov": _advance(_search(optimizer=SGD, optimizer_kwargs={"nesterov": True})),
        "clipup": _advance(_search(optimizer=ClipUp, dtype=np.float32, **box)),
        "rates": _advance(_search(mu_lr=Decay(0.1, 0.9, limit=0.01), l2_coeff=[0.01] * 7)),
        "alone": _advance(_search(symmetric=False, fitness_shaping="nes", sigma_decay=0.99)),
        "minimize": _advance(_search(maximize=False, fitness_shaping="normalized")),
        "generator": _pending(_advance(_search(rng=np.random.default_rng(3)))),
        "random_state": _advance(_search(rng=np.random.RandomState(3), ties="argsort")),
        "pending": _pending(_advance(_search())),
        "edited": _edited(_advance(_search())),
        "with_noise": _with_noise(_advance(_search())),
        "half_told": _half_told(_advance(_search(num_interactions=25, popsize_max=48))),
        "attributes": _with_attributes(_advance(_search(nan_policy="worst", optimizer=Adam))),
    }


def going_on(es: PEPG) -> str:
    """Return a hash of the state and of the next steps of a search."""
    digest = hashlib.sha256()
    _advance(es, digest, MORE)
    for part in (es.mu, es.sigma, es.best_theta, es.best_mu, es.best_sigma, es.epsilon):
        digest.update(part.tobytes())
    counts = es.step, es.evaluations, es.interactions, float(es.best_fitness).hex()
    digest.update(repr(counts).encode())
    return digest.hexdigest()


def networks() -> dict[str, NeuralNetwork]:
    """Return a network of each kind that a file can hold."""
    made = {
        "plain": NeuralNetwork(3, 2, [4], hidden_activation="tanh"),
        "no_bias": NeuralNetwork(3, 2, [4, 5], bias=False, output_activation="softmax"),
        "numpy": NeuralNetwork(2, 1, hidden_activation=np.tanh, output_activation=np.tanh),
    }
    for network in made.values():
        network.weights = np.linspace(-1, 1, network.number_of_parameters)
    return made


def train(folder: Path, *, resume: bool = False) -> None:
    """Train for four generations in CartPole, or for four more."""
    from pepg_fast import TrainConfig
    from pepg_fast import train as run

    config = TrainConfig(
        population_size=6, hidden_sizes=(4,), seed=3, max_steps=8 if resume else 4, workers=0,
        center_every=2, center_episodes=2, normalize_observations=True, max_episode_steps=60,
    )  # fmt: skip
    run("CartPole-v1", config, folder=folder, resume=resume, progress=False)


def history_of(folder: Path, names: str | None = None) -> list[str]:
    """Return the rows of a run without their times, and without columns that are not in the header."""
    lines = (folder / "history.csv").read_text().splitlines()
    rows = [line.split(",") for line in lines if line and not line.startswith("#")]
    wanted = rows[0] if names is None else names.split(",")
    kept = [rows[0].index(name) for name in wanted if name != "seconds"]
    return [",".join(row[i] for i in kept) for row in rows]


def _write(folder: Path) -> None:
    from pepg_fast import show_config  # noqa: F401  the package is whole

    folder.mkdir(parents=True)
    expected: dict[str, object] = {}
    for name, es in searches().items():
        es.save_checkpoint(folder / f"{name}.checkpoint")
        expected[name] = going_on(PEPG.load_checkpoint(folder / f"{name}.checkpoint"))
    es = _advance(_search())
    es.save_best(folder / "adam.best")
    expected["best"] = [part.tolist() for part in (es.best_theta, es.best_mu, es.best_sigma)]
    for name, network in networks().items():
        network.save_network(folder / f"{name}.network")
    train(folder / "run")
    whole = folder / "whole"
    shutil.copytree(folder / "run", whole)
    train(whole, resume=True)
    expected["run"] = history_of(whole)
    shutil.rmtree(whole)
    for leftover in (folder / "run").glob("*.png"):
        leftover.unlink()
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    (folder / "VERSION").write_text(f"{sys.argv[2]}\n")


if __name__ == "__main__":
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    _write(Path(sys.argv[1]))

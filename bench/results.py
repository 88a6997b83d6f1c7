"""Published results, reproduced: ``python bench/results.py`` runs each setup with several seeds.

    python bench/results.py cartpole rastrigin xor --seeds 5 --plots docs/results
    python bench/results.py swimmer              # a policy of policies.py, which keeps one file for each seed
    python bench/results.py --table              # the tables of those files

The program prints the tables of docs/results.md and draws its curves. It needs numba and gymnasium (for CartPole) and
matplotlib (for curves): ``pip install ".[results]"``. tests/test_results.py checks the figures.
"""

import argparse
import functools
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import examples
import numpy as np
import policies
from numpy.typing import NDArray

import pepg_fast
from pepg_fast import PEPG, NeuralNetwork, Simulation, maximize, presets, xor
from pepg_fast.benchmarks.report import duration, machine_line, markdown


class Run(NamedTuple):
    """The result of one seed."""

    seed: int
    seconds: float
    x: NDArray[Any]
    y: NDArray[Any]  # the curve
    figures: dict[str, float]  # the columns of the table


class Setup(NamedTuple):
    """A published setup: how to run it with a seed, and the axes of its curve."""

    title: str
    published: str
    x: str
    y: str
    run: Callable[[int], Run]
    curve: dict[int, float] | None = None  # the published one


def timed(seed: int, run: Callable[[], tuple[Any, Any, dict[str, float]]]) -> Run:
    """Run a setup and measure its time."""
    start = time.perf_counter()
    x, y, figures = run()
    return Run(seed, time.perf_counter() - start, np.asarray(x), np.asarray(y), figures)


# ---- CartPole-v1 of pgpelib's examples/02-rl ---------------------------------------------------------------------


@functools.cache
def cartpole_simulation() -> Simulation:
    """Make CartPole-v1 with one output for each of the two actions; the larger output chooses the action."""
    import numba

    cartpole = examples.load("embedding/numba_cartpole/cartpole.py")
    move, force = cartpole.move, cartpole.FORCE

    @numba.cfunc(cartpole.STEP, error_model="numpy")
    def step(state, action, observation, reward, data):  # type: ignore[no-untyped-def]
        return move(state, observation, reward, force if action[1] > action[0] else -force)

    return Simulation(
        cartpole.reset, step, state_size=4, observation_size=4, action_size=2, max_steps=500
    )


def cartpole_network() -> NeuralNetwork:
    """Make the network of pgpelib's example."""
    return NeuralNetwork(4, 2, [8], "tanh")


def cartpole(seed: int, generations: int = 50) -> Run:
    """Return the median return of each generation, and the generation from which it stays at 500."""
    simulation, network = cartpole_simulation(), cartpole_network()
    es = presets.pgpelib(
        solution_length=network.number_of_parameters, popsize=250, center_init=0.0, stdev_init=0.08,
        center_learning_rate=0.075, stdev_learning_rate=0.1, stdev_max_change=0.2, optimizer="clipup",
        optimizer_config={"max_speed": 0.15}, solution_ranking=True, rng=seed,
    )  # fmt: skip

    def search() -> tuple[Any, Any, dict[str, float]]:
        medians = []
        for generation in range(generations):
            # Each candidate has its own episode, as in an environment that is reset without a seed.
            population = es.get_parameters()
            returns = [
                simulation.evaluate(
                    network, member[None], seed=(seed << 40) + generation * 250 + i
                )[0]
                for i, member in enumerate(population)
            ]
            medians.append(np.median(returns))
            es.update(returns)
        below = np.flatnonzero(np.array(medians) < 500.0)
        solved = below[-1] + 2 if below.size and below[-1] + 1 < generations else math.inf
        figures = {
            "median of generation 7": medians[6],
            "of 19": medians[18],
            "500 from generation": float(solved),
            "center in gymnasium": center_in_gymnasium(network, es.mu),
        }
        return np.arange(1, generations + 1), medians, figures

    return timed(seed, search)


def center_in_gymnasium(
    network: NeuralNetwork, weights: NDArray[Any], episodes: int = 100
) -> float:
    """Return the mean return of a policy over episodes of gymnasium's own CartPole-v1."""
    import gymnasium

    network.weights = weights
    returns = []
    with gymnasium.make("CartPole-v1") as env:
        for episode in range(episodes):
            observation, _ = env.reset(seed=episode)
            total, is_over = 0.0, False
            while not is_over:
                action = int(np.argmax(network(observation)))
                observation, reward, terminated, truncated, _ = env.step(action)
                total += float(reward)
                is_over = terminated or truncated
            returns.append(total)
    return float(np.mean(returns))


# ---- Rastrigin of estool's simple_es_example ---------------------------------------------------------------------


def rastrigin(solutions: NDArray[Any]) -> NDArray[Any]:
    """Return the negative of Rastrigin's function, with the optimum at 10 in each coordinate."""
    x = solutions - 10.0
    return -(10.0 * x.shape[1] + (x**2 - 10.0 * np.cos(2.0 * np.pi * x)).sum(axis=1))


def rastrigin_as_estool(seed: int, generations: int = 4000) -> Run:
    """Search with estool's settings (without ranks), and with the mean reward as baseline."""
    es = presets.estool(
        num_params=100, popsize=100, sigma_init=0.5, sigma_alpha=0.2, sigma_decay=0.999, sigma_limit=0.01,
        sigma_max_change=0.2, learning_rate=0.1, learning_rate_decay=1.0, average_baseline=True, weight_decay=0.0,
        rank_fitness=False, rng=seed,
    )  # fmt: skip
    return timed(
        seed, lambda: _best_fitness(es.run(rastrigin, max_steps=generations, vectorized=True))
    )


def rastrigin_by_default(seed: int, generations: int = 4000) -> Run:
    """Search by `maximize` with estool's start and population, and a sigma of half the distance to the optimum."""
    return timed(seed, lambda: _best_fitness(maximize(
        rastrigin, np.zeros(100), 5.0, population_size=100, max_steps=generations, vectorized=True, rng=seed,
    )))  # fmt: skip


def _best_fitness(result: pepg_fast.Result) -> tuple[Any, Any, dict[str, float]]:
    history = result.history
    figures = {"best": float(result.best_fitness), "center": float(rastrigin(result.mu[None])[0])}
    return history["step"], history["best_fitness"], figures


# ---- XOR of pepg-es's README --------------------------------------------------------------------------------------


def xor_steps(seed: int) -> Run:
    """Return the number of steps until a candidate computes XOR."""
    network = xor.make_network()
    es: PEPG = xor.make_search(network, rng=seed)

    def search() -> tuple[Any, Any, dict[str, float]]:
        result = es.run(
            lambda solutions: xor.fitness(network, solutions), target_fitness=xor.SOLVED, max_steps=2000,
            vectorized=True,
        )  # fmt: skip
        figures = {
            "solved at step": float(result.step if result.reason == "target_fitness" else math.inf)
        }
        return result.history["step"], result.history["best_fitness"], figures

    return timed(seed, search)


#: Medians from pgpelib's notebook, by generation.
CARTPOLE_PUBLISHED = dict(enumerate(
    [10] * 7 + [13, 22, 29, 34, 44, 47.5, 54, 62.5, 70, 82, 80, 103, 134.5, 202, 261, 382, 475] + [500] * 26, 1,
))  # fmt: skip
#: Best fitness from estool's notebook, by generation, rounded to whole numbers.
RASTRIGIN_PUBLISHED = {
    100: -3482, 200: -1215, 300: -1014, 400: -841, 500: -582, 600: -509, 700: -404, 800: -314, 900: -245, 1000: -236,
    1200: -188, 1400: -158, 1600: -148, 2000: -145, 2500: -143, 3000: -142, 3500: -141, 4000: -140,
}  # fmt: skip

SETUPS = {
    "cartpole": Setup(
        "CartPole-v1, pgpelib's example", "median return 10 until generation 7, 103 at 19, 500 from 25 on (one run)",
        "generation", "median return of the population", cartpole, CARTPOLE_PUBLISHED,
    ),
    "rastrigin": Setup(
        "Rastrigin-100, estool's example", "best -140.2 after 4000 generations (one run)",
        "generation", "best fitness so far", rastrigin_as_estool, RASTRIGIN_PUBLISHED,
    ),
    "rastrigin-maximize": Setup(
        "Rastrigin-100, maximize() with a sigma of 5", "best -140.2 after 4000 generations (estool's PEPG, one run)",
        "generation", "best fitness so far", rastrigin_by_default, RASTRIGIN_PUBLISHED,
    ),
    "xor": Setup(
        "XOR, pepg-es's README", "solved at step 20 (one run; the median of pepg-es over 100 seeds is 59)",
        "step", "best fitness so far", xor_steps,
    ),
}  # fmt: skip


def table(runs: list[Run]) -> str:
    """Return a table with one row for each seed and the median; for many seeds, only the quartiles."""
    names = list(runs[0].figures)
    columns = [np.array([run.figures[name] for run in runs]) for name in names]
    seconds = np.array([run.seconds for run in runs])
    if len(runs) <= 10:
        rows = [
            [str(run.seed), *(f"{run.figures[name]:.4g}" for name in names), duration(run.seconds)]
            for run in runs
        ]
        parts = {"median": 0.5}
    else:
        rows = []
        parts = {
            "minimum": 0.0, "first quartile": 0.25, "median": 0.5, "third quartile": 0.75, "maximum": 1.0,
        }  # fmt: skip
    for name, part in parts.items():
        values = [f"{np.quantile(column, part):.4g}" for column in columns]
        rows.append([name, *values, duration(np.quantile(seconds, part))])
    return markdown(["seed" if len(runs) <= 10 else f"{len(runs)} seeds", *names, "time"], rows)


def draw(setup: Setup, runs: list[Run], filename: Path) -> None:
    """Draw the curve of each seed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 3.5), layout="constrained")
    axes = figure.subplots()
    for run in runs:
        axes.plot(
            run.x,
            run.y,
            linewidth=1,
            alpha=0.8,
            label=f"seed {run.seed}",
            marker="o" if len(run.x) < 2 else "",
        )
    if setup.curve is not None:
        axes.plot(
            list(setup.curve), list(setup.curve.values()), "k--", linewidth=1, label="published"
        )
    if min(run.y.min() for run in runs) < -1000:  # a linear axis would hide the end
        axes.set_yscale("symlog", linthresh=10)
    axes.set(xlabel=setup.x, ylabel=setup.y)
    axes.set_title(setup.title, loc="left")
    axes.grid(True, linewidth=0.5, alpha=0.4)
    axes.spines[["top", "right"]].set_visible(False)
    if len(runs) <= 8:
        axes.legend(frameon=False, fontsize="small")
    figure.savefig(filename, dpi=130)


def main() -> None:
    """Run the setups that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument(
        "setups",
        nargs="*",
        metavar="SETUP",
        help=f"one of {', '.join(SETUPS)} (default: all of these), or one of the policies {', '.join(policies.ROWS)}",
    )
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds")
    parser.add_argument("--plots", type=Path, help="folder for the curves")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), help="folder for the runs of policies"
    )
    parser.add_argument(
        "--table", action="store_true", help="only print the tables of the policies' files"
    )
    options = parser.parse_args()
    if options.table:
        print(policies.summary(), policies.table(list(policies.ROWS)), sep="\n\n")
        return
    unknown = set(options.setups) - set(SETUPS) - set(policies.ROWS)
    if unknown:
        parser.error(
            f"SETUP: wanted some of {', '.join([*SETUPS, *policies.ROWS])}, got {', '.join(sorted(unknown))}"
        )
    print(machine_line())
    for name in options.setups or SETUPS:
        if name in policies.ROWS:
            policies.reproduce(name, options.seeds, options.runs)
            continue
        setup = SETUPS[name]
        runs = [setup.run(seed) for seed in range(options.seeds)]
        print(f"\n### {setup.title}\n\nPublished: {setup.published}.\n\n{table(runs)}")
        if options.plots:
            options.plots.mkdir(parents=True, exist_ok=True)
            draw(setup, runs, options.plots / f"{name}.png")


if __name__ == "__main__":
    main()

"""Learn handwritten digits from accuracy alone: a network of 84,000 weights, without its gradient.

    pip install pepg-fast scikit-learn && python bench/digits.py

A fifth of scikit-learn's 1,797 pictures of digits is held out. The fitness of a candidate is its accuracy on a batch,
which is the same for all candidates. The tested network is the mean of the search.
"""

import argparse
import time

import numpy as np

from pepg_fast import Decay, LowRankPEPG, NeuralNetwork


def data(seed):
    """Return pictures and digits: those for training, and those that are held out."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    pictures, digits = load_digits(return_X_y=True)
    pictures = (pictures / 8.0 - 1.0).astype(np.float32)
    return train_test_split(pictures, digits, test_size=0.2, random_state=seed, stratify=digits)


def accuracy(network, weights, pictures, digits):
    network.weights = weights
    return float((network.forward_batch(pictures).argmax(axis=1) == digits).mean())


def learn(seed, options):
    """Train; return the accuracy on the held-out pictures, and the seconds that training took."""
    learned, held_out, digits, their_digits = data(seed)
    network = NeuralNetwork(64, 10, (256, 256), "tanh")
    rng = np.random.default_rng(seed)
    widths = zip(network.sizes, network.sizes[1:], strict=False)
    start = np.concatenate(
        [np.append(rng.standard_normal(m * n) / np.sqrt(m), np.zeros(n)) for m, n in widths]
    )
    half = options.steps // 20
    es = LowRankPEPG(
        options.population, start, options.sigma, Decay(options.rate, 0.85, every=half), 0.0,
        structure=network, rank=options.rank, rng=seed, dtype="float32", sigma_decay=options.decay,
    )  # fmt: skip
    began = time.perf_counter()
    for step in range(1, options.steps + 1):
        batch = rng.choice(len(digits), options.batch, replace=False)
        outputs = es.forward(learned[None, batch])
        es.update((outputs.argmax(axis=2) == digits[batch]).mean(axis=1))
        if options.verbose and step % 100 == 0:
            now = time.perf_counter() - began
            shares = [
                accuracy(network, es.center, *each)
                for each in ((learned, digits), (held_out, their_digits))
            ]
            print(
                step,
                f"{now:.0f} s",
                *(f"{share:.4f}" for share in shares),
                es.sigma.max(),
                flush=True,
            )
    return accuracy(network, es.center, held_out, their_digits), time.perf_counter() - began


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--population", type=int, default=256)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--rank", type=int, default=1)
    parser.add_argument("--sigma", type=float, default=0.1)
    parser.add_argument("--decay", type=float, default=0.998)
    parser.add_argument("--rate", type=float, default=0.03)
    parser.add_argument("--verbose", action="store_true")
    given = parser.parse_args()
    for seed in given.seeds:
        share, seconds = learn(seed, given)
        print(
            f"seed {seed}: {100 * share:.1f} % of the held-out pictures, {seconds:.0f} s",
            flush=True,
        )

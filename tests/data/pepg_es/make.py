"""Write one file of each kind with pepg-es: python make.py FOLDER, in an environment with pepg-es 0.0.5.

The file names tell the versions of CPython and NumPy. Runs on CPython 3.6 and later.
"""

import sys
from pathlib import Path

import numpy as np
import pepg


def write(folder):
    stem = "cpython{}.{}-numpy{}".format(*sys.version_info[:2], np.__version__)
    folder = Path(folder)
    np.random.seed(3)
    es = pepg.PEPG(6, 3, 0.5, 0.8, 0.2, 0.1)
    for _ in range(2):
        theta = es.get_parameters()
        es.update(-np.sum(theta**2, axis=1))
    es.get_parameters()
    es.mu_init = np.arange(6, dtype=">f4").reshape(2, 3).T[:, 0]  # not contiguous
    es.notes = {
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "strided": np.arange(12, dtype="i2").reshape(2, 6)[:, ::2],
        "flags": np.array([True, False]),
        "empty": np.zeros((0, 3), "f2"),
        "scalars": [np.float32(0.5), np.int64(-3), np.bool_(True), np.array(2.5)],
        "plain": [
            None,
            True,
            -1,
            300,
            70000,
            2**40,
            0.1,
            "text \u00e9",
            b"bytes",
            (),
            (1, 2),
            (1, 2, 3, 4),
        ],
    }
    save(es, folder / (stem + ".checkpoint"))
    es.save_best(str(folder / (stem + ".best")))
    network = pepg.NeuralNetwork(
        3, 2, [4], hidden_activation=np.tanh, output_activation=pepg.sigmoid
    )
    network.weights = np.random.normal(size=network.number_of_parameters)
    network.save_network(str(folder / (stem + ".network")))


def save(es, path):
    """`save_checkpoint`, which chooses the name itself."""
    es.save_checkpoint()
    (written,) = (Path(__file__).resolve().parent / "checkpoints").iterdir()
    path.write_bytes(written.read_bytes())
    written.unlink()
    written.parent.rmdir()


if __name__ == "__main__":
    write(sys.argv[1])

"""The extension module itself: error messages, reused memory, and turns between threads."""

import threading
import time

import numpy as np
import pytest

from pepg_fast import kernels

N, D = 2, 3
WEIGHTS, DRAWN, NOISE = np.ones((2, N)), np.ones((2, D)), np.ones((N, D), np.float32)


def update_adam(**changed):
    numbers = {"alpha": 0.1, "beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-8, "t": 1, "l2": 0.0,
               "lr": 0.1, "change": np.inf, "least": 1e-9, "most": 9.0, **changed}  # fmt: skip
    vectors = np.ones((4, D))
    kernels.update_adam(1, 1, NOISE, None, WEIGHTS, DRAWN, *numbers.values(), None, *vectors, None)


REFUSED = {
    "n_pairs": lambda: kernels.normals(1, 1, 0, np.empty((0, D))),
    "dim": lambda: kernels.normals(1, 1, 0, np.empty((N, 0))),
    "first_pair": lambda: kernels.normals(1, 1, 2**32 - 1, np.empty((N, D))),
    "t": lambda: update_adam(t=0),
    "alpha": lambda: update_adam(alpha=np.nan),
    "beta_1": lambda: update_adam(beta_1=1.0),
    "l2": lambda: update_adam(l2=np.inf),
    "learning_rate": lambda: update_adam(lr=np.nan),
    "minimum": lambda: update_adam(least=0.0),
    "maximum": lambda: update_adam(most=1e-10),
    "rule": lambda: kernels.velocity_step(np.ones(D), 9, 0.1, 0.9, 1.0, np.ones(D), np.ones(D)),
    "activation": lambda: kernels.activate(9, np.ones(D)),
    "hidden": lambda: kernels.Perceptron([1, 1], True, 9, 0),
    "rewards": lambda: kernels.centered_ranks(np.ones(1), np.ones(1)),
    "lo": lambda: kernels.gradient_columns(1, 1, None, WEIGHTS, DRAWN, 2, np.empty(1), np.empty(1)),
    "gradient": lambda: kernels.adam(np.ones(0), 0.1, 0.9, 0.9, 1e-8, 1, *np.ones((3, 0))),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_names_the_argument(name):
    with pytest.raises(ValueError, match=f"^{name}: wanted "):
        REFUSED[name]()


def test_memory_that_somebody_holds_is_not_returned_again():
    recycled, dtype = kernels.RecycledArray(), np.dtype(float)
    address = recycled.empty(N, D, dtype).ctypes.data
    takers = [np.empty((N, D)) for _ in range(20)]  # to take memory that was released
    assert address not in [taker.ctypes.data for taker in takers]
    assert recycled.empty(N, D, dtype).ctypes.data == address
    held = recycled.empty(N, D, dtype)[1:]
    assert not np.may_share_memory(recycled.empty(N, D, dtype), held)
    assert recycled.empty(N, D, np.dtype(np.float32)).dtype == np.float32
    put = np.ones((N, D))
    recycled.put(put)
    assert not np.may_share_memory(recycled.empty(N, D, dtype), put)


def test_a_turn_belongs_to_one_thread_at_a_time():
    turn, counts = kernels.Turn(), [0]

    def work():
        for _ in range(200):
            with turn, turn:  # its holder may take it again
                before = counts[0]
                time.sleep(1e-5)  # another thread could run
                counts[0] = before + 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts[0] == 800
    with pytest.raises(RuntimeError, match="wanted the thread that holds it"):
        turn.__exit__()


def test_a_list_that_is_too_long_or_short_is_not_read():
    out = np.empty(3)
    assert kernels.read_rewards([1, 2.5, np.float64(0)], out) == 1
    assert out.tolist() == [1.0, 2.5, 0.0]
    assert kernels.read_rewards([1.0, 2.0], out) == kernels.read_rewards([1.0] * 4, out) == -1

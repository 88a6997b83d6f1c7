"""An interrupt at any bytecode leaves a search as it was before the call, or as it is after it."""

import copy
import dis
import functools
import gc
import pickle
import sys
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest
from snapshots import state_of

import pepg_fast
from pepg_fast import PEPG, SGD, ClipUp, Decay, Optimizer
from pepg_fast.search import attempts


class Halving(Optimizer):
    """A user's own optimizer, without a state."""

    def __init__(self, alpha):
        self.alpha = alpha

    def __call__(self, gradients):
        return -self.alpha * gradients / 2


def doubled(rewards):
    return 2 * rewards


def wholly(es):
    return pickle.dumps(state_of(es))


#: Bytecodes that only move values on the stack: an interrupt before one finds what one before the next would.
STACK_ONLY = {
    opcode for name, opcode in dis.opmap.items()
    if name.startswith(("LOAD_FAST", "LOAD_CONST", "LOAD_GLOBAL", "LOAD_DEREF", "LOAD_SMALL_INT"))
    or name in ("PUSH_NULL", "PRECALL", "KW_NAMES", "COPY", "SWAP", "NOP", "RESUME", "EXTENDED_ARG", "CACHE")
}  # fmt: skip


PACKAGE = str(Path(pepg_fast.__file__).parent)


@functools.cache
def offsets(code):
    """Return the offsets of the bytecodes that can be interrupted; none for code of other packages."""
    if not code.co_filename.startswith(PACKAGE):
        return frozenset()
    return frozenset(at for at, opcode in enumerate(code.co_code) if opcode not in STACK_ONLY)


def call_interrupted(call, at):
    """Interrupt a call at its bytecode number `at`; return whether the call has that many."""
    left = at

    def interrupt_in_time():
        nonlocal left
        left -= 1
        if left < 0:
            sys.settrace(None)
            raise KeyboardInterrupt

    def trace_code(frame, event, _):
        if event == "opcode" and frame.f_lasti in offsets(frame.f_code):
            interrupt_in_time()
        return trace_code

    def trace(frame, event, _):
        interrupt_in_time()
        if not offsets(frame.f_code):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return trace_code

    gc.disable()  # the collector may call code of others, which would be interrupted, too
    sys.settrace(trace)
    try:
        call()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(None)
        gc.enable()
    return False


def assert_whole_wherever_it_ends(es, call):
    """Interrupt `call(es)` at each of its bytecodes in turn, until a call is not interrupted any more."""
    es, twin = copy.deepcopy(es), copy.deepcopy(es)
    before = wholly(es)
    assert wholly(twin) == before
    call(twin)
    after = wholly(twin)
    untouched = copy.deepcopy(es)
    n_before = at = 0
    while call_interrupted(functools.partial(call, es), at):
        found = wholly(es)
        assert found in (before, after), f"neither before nor after, at bytecode {at}"
        if found == after:
            es = copy.deepcopy(untouched)
        n_before += found == before
        at += 1
    assert n_before > 0
    assert wholly(es) == after
    for each in (es, twin):  # the bits of one that was never interrupted, and the turn is free
        thread = threading.Thread(target=go_on, args=(each,), daemon=True)
        thread.start()
        thread.join(30)
        assert not thread.is_alive()
    assert wholly(es) == wholly(twin)


def go_on(es):
    for _ in range(2):
        es.tell(rewards_of(es.ask()), **told(es))


def rewards_of(theta):
    return [float(-((row - 1.0) ** 2).sum()) for row in theta]


def told(es):
    return {} if es.num_interactions is None else {"interactions": 7}


def made(**changes):
    required = {"population_size": 4, "theta_size": 3, "mu_init": 0.0, "sigma_init": 1.0, "mu_lr": 0.1,
                "sigma_lr": 0.1, "rng": 1, "keep_gradient": True}  # fmt: skip
    return PEPG(**(required | changes))


SEARCHES = {
    "adam": {},
    "adam, first form": {"optimizer_kwargs": {"eps_hat": False}},
    "sgd": {"optimizer": SGD},
    "nesterov": {"optimizer": SGD, "optimizer_kwargs": {"nesterov": True}},
    "clipup": {"optimizer": ClipUp},
    "scheduled": {"mu_lr": Decay(0.1, 0.5), "sigma_lr": Decay(0.2, 0.5), "l2_coeff": Decay(0.1, 0.9)},
    "scheduled clipup": {"mu_lr": Decay(0.1, 0.5), "optimizer": ClipUp},
    "array rates": {"mu_lr": [0.1, 0.2, 0.3], "sigma_lr": [0.3, 0.2, 0.1], "l2_coeff": [0.0, 0.1, 0.2]},
    "array rates of sgd": {"mu_lr": [0.1, 0.2, 0.3], "optimizer": SGD},
    "a user's optimizer": {"optimizer": Halving},
    "decay of sigma": {"sigma_decay": 0.9},
    "decay with array rates": {"sigma_decay": 0.9, "sigma_lr": [0.3, 0.2, 0.1], "sigma_min": [0.1, 0.2, 0.95]},
    "adaptive population": {"num_interactions": 10},
    "bounds": {"lower": -0.5, "upper": 0.5},
    "a user's shaping": {"fitness_shaping": doubled},
    "unpaired": {"symmetric": False},
    "float32": {"dtype": "float32", "sigma_decay": 0.9},
    "numpy": {"rng": np.random.RandomState(1)},
    "minimum": {"maximize": False},
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "n_updates"),
    [(name, 1) for name in SEARCHES]
    + [(name, 0) for name in ("adam", "clipup", "adaptive population")],
)
def test_update(name, n_updates):
    es = made(**SEARCHES[name])
    for _ in range(n_updates):
        es.update(rewards_of(es.get_parameters()), **told(es))
    rewards = rewards_of(es.get_parameters())
    assert_whole_wherever_it_ends(es, lambda es: es.tell(rewards, **told(es)))


def test_nan_that_ranks_last():
    es = made(nan_policy="worst")
    es.get_parameters()
    with pytest.warns(UserWarning, match="NaN"):
        es.update([1.0, 2.0, np.nan, 3.0])
    es.get_parameters()
    assert_whole_wherever_it_ends(es, lambda es: es.update([1.0, np.nan, 2.0, 3.0]))


@pytest.mark.parametrize("way", ["start anew", "put back"])
@pytest.mark.parametrize(
    "options",
    [
        {"fitness_shaping": "nes", "optimizer": SGD, "num_interactions": 10},
        {"fitness_shaping": "top", "top": 2, "dtype": "float32", "optimizer": ClipUp},
    ],
)
def test_restarts(way, options):
    es = made(**options)
    es.update(rewards_of(es.get_parameters()), **({"interactions": 10} if told(es) else {}))
    es.get_parameters()
    call = attempts.start_anew
    if way == "put back":
        attempts.start_anew(es, es.optimizer._anew())
        es.get_parameters()
        call = attempts.put_back
    assert_whole_wherever_it_ends(es, lambda es: call(es, es.optimizer._anew()))


def test_gradients_in_parts():
    es = made()
    rewards = rewards_of(es.get_parameters())
    assert_whole_wherever_it_ends(
        es, lambda es: es.update(rewards, gradients=lambda work: work.columns(0, 3))
    )


CALLS = {
    "get_parameters": lambda es: es.get_parameters(),
    "get_parameters, a part": lambda es: es.get_parameters(members=slice(1, 3)),
    "get_parameters, out": lambda es: es.get_parameters(out=np.empty((4, 3))),
    "mu": lambda es: setattr(es, "mu", [1.0, 2.0, 3.0]),
    "sigma": lambda es: setattr(es, "sigma", 0.5),
    "epsilon": lambda es: setattr(es, "epsilon", np.ones((2, 3))),
    "theta": lambda es: setattr(es, "theta", np.ones((4, 3))),
    "population_size": lambda es: setattr(es, "population_size", 6),
    "sigma_max": lambda es: setattr(es, "sigma_max", 3.0),
    "nan_policy": lambda es: setattr(es, "nan_policy", "worst"),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("is_pending", [False, True])
@pytest.mark.parametrize("options", [{}, {"num_interactions": 100}], ids=["one", "several"])
def test_other_calls(name, is_pending, options):
    es = made(**options)
    es.update(rewards_of(es.get_parameters()), **told(es))
    if is_pending:
        es.get_parameters()
    assert_whole_wherever_it_ends(es, CALLS[name])


@pytest.mark.parametrize(
    "options", [{}, {"sigma_decay": 0.5}, {"keep_gradient": True, "ties": "argsort"}], ids=str
)
def test_a_finalizer_of_what_is_replaced_finds_the_update_done(options):
    es = PEPG(4, 3, 0.0, 1.0, 0.1, 0.1, rng=1, **options)
    es.get_parameters()
    es.update([1.0, 2.0, 3.0, 4.0])
    seen = []

    def look():
        seen.append((es.step, es.best_fitness, es.best_mu.tobytes(), es.best_sigma.tobytes()))

    for name in ("best_theta", "best_mu"):
        replaced = getattr(es, name).copy()
        weakref.finalize(replaced, look)
        setattr(es, name, replaced)
    del replaced
    es.get_parameters()
    es.update([5.0, 6.0, 7.0, 8.0])
    after = es.step, es.best_fitness, es.best_mu.tobytes(), es.best_sigma.tobytes()
    assert seen == [after, after]

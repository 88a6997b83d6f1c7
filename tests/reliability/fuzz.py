"""Coverage-guided fuzzing of what comes from outside: python fuzz.py TARGET CORPUS [libFuzzer options].

Files: `checkpoint`, `low_rank` (a checkpoint of a low-rank search), `best`, `network`, `policy` and `training` (a
checkpoint of a training run) take the members of an npz apart, so that the fuzzer changes their contents and neither
the checksum nor the archive's own stop it; `pickle` takes the bytes of pepg-es's files, or writes opcodes by a grammar
(`tests/opcodes.py`) that the fuzzer steers; `text` takes a run's settings and history. Whatever a file holds, loading
it raises a ValueError that begins with its name, or gives an object that works. Arguments: whatever is handed to the
constructor or told as rewards, it is refused as a ValueError or TypeError that names it, or works.

Seeds are good files and good arguments. Needs atheris.
"""

import contextlib
import hashlib
import io
import os
import pickle
import re
import sys
import tempfile
import warnings
import zipfile
from pathlib import Path

import atheris
import numpy as np

with atheris.instrument_imports(include=["pepg_fast", "zipfile", "json"]):
    from pepg_fast import (
        PEPG,
        SGD,
        Adam,
        ClipUp,
        History,
        LowRankPEPG,
        NeuralNetwork,
        RecurrentNetwork,
        TrainConfig,
    )
    from pepg_fast.nn import CELLS, load_network, network_from_state, network_to_state
    from pepg_fast.run.history import COLUMNS
    from pepg_fast.search import attempts
    from pepg_fast.search.options import may_be_functions
    from pepg_fast.storage import checkpoints
    from pepg_fast.training import config as configs
    from pepg_fast.training.normalization import Normalizer
    from pepg_fast.training.observations import Numbers, OneHot, Several
    from pepg_fast.training.policy import WHICH, PolicyFile, Weights
    from pepg_fast.training.rollouts import Task
    from pepg_fast.training.run_folder import RunFolder
    from pepg_fast.training.running import _search_to_resume
    from pepg_fast.training.spaces import Interface
    from pepg_fast.training.trainer import Trainer

sys.path.insert(0, str(Path(__file__).parents[1]))
from opcodes import Grammar

warnings.simplefilter("ignore")
SEPARATOR = b"\n--member--\n"
META = "meta.npy"
MOST_ELEMENTS = 100_000
FOLDER = Path(tempfile.mkdtemp())
FILE = FOLDER / "file"


# ---- files ------------------------------------------------------------------------------------


def taken_apart(path: Path) -> bytes:
    """Return the members of an npz, with its JSON as text, because NumPy's four bytes per letter hinder a fuzzer."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members[META] = str(np.load(io.BytesIO(members[META]))).encode()
    return SEPARATOR.join(name.encode() + b"\n" + content for name, content in members.items())


def as_member(text: str) -> bytes:
    member = io.BytesIO()
    np.save(member, np.array(text))
    return member.getvalue()


def put_together(parts: bytes) -> bytes:
    """Return a signed npz of these members; bytes without members are signed as they are."""
    body = parts
    if SEPARATOR in parts:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for part in parts.split(SEPARATOR):
                name, _, content = part.partition(b"\n")
                if name == META.encode() and not content.startswith(b"\x93NUMPY"):
                    content = as_member(content.decode("utf-8", "replace"))
                name = name.decode("latin1").replace("\0", "") or "?"
                if name not in archive.namelist():  # two of one name are refused at once
                    archive.writestr(name, content)
            archive.comment = b"0" * 71
        body = buffer.getvalue()[:-71]
    return body + b"sha256:" + hashlib.sha256(body).hexdigest().encode()


def refused(load, file=FILE):
    """Return the result of `load`, or None if it refused the file as it should."""
    try:
        return load(file)
    except ValueError as error:
        if not str(error).startswith(f"{file}: "):
            raise RuntimeError("a ValueError without the file's name") from error
        return None


def use_search(es) -> None:
    if es is None or es.population_size * es.theta_size > MOST_ELEMENTS:
        return
    for _ in range(2):
        if not es.is_pending:
            es.get_parameters()
        tell(es, np.arange(float(es.population_size)), **interactions(es))
    state = checkpoints.to_state(es)
    kind = type(es)
    functions = {name: getattr(es, name) for name in may_be_functions(kind) if state[name] is None}
    es.save_checkpoint(FOLDER / "again")
    again = kind.load_checkpoint(FOLDER / "again", **functions)
    np.testing.assert_equal(checkpoints.to_state(again), state)


def interactions(es) -> dict:
    return {} if es.num_interactions is None else {"interactions": es.population_size}


def use_network(network) -> None:
    if network is None or network.weights is None or network.input_size > MOST_ELEMENTS:
        return
    for _ in range(2):
        network(np.zeros(network.input_size))
    again = network_from_state(network_to_state(network))
    assert again.number_of_parameters == network.number_of_parameters


def checkpoint(data: bytes) -> None:
    FILE.write_bytes(put_together(data))
    es = refused(PEPG.load_checkpoint)
    use_search(es)
    best = None if es is None else attempts.kept(es)
    if best is not None and best["population_size"] * es.theta_size <= MOST_ELEMENTS:
        attempts.put_back(es, Adam(0.1))
        use_search(es)


def best(data: bytes) -> None:
    FILE.write_bytes(put_together(data))
    refused(PEPG.load_best)


def network(data: bytes) -> None:
    FILE.write_bytes(put_together(data))
    for load in (load_network, NeuralNetwork.load_network, RecurrentNetwork.load_network):
        use_network(refused(load))


def low_rank(data: bytes) -> None:
    FILE.write_bytes(put_together(data))
    es = refused(LowRankPEPG.load_checkpoint)
    use_search(es)
    refused(PEPG.load_checkpoint)
    if es is not None and isinstance(es.structure, dict) and "cell" not in es.structure:
        rows, columns = es.structure["sizes"][0], es.structure["sizes"][-1]
        if es.population_size * max(rows, columns, es.theta_size) <= MOST_ELEMENTS:
            with contextlib.suppress(RuntimeError):  # activations that are not of the package
                assert es.forward(np.zeros((es.population_size, rows))).shape[1] == columns


class Steered:
    """The decisions of a grammar, from the fuzzer's bytes."""

    def __init__(self, content: bytes) -> None:
        self._data = atheris.FuzzedDataProvider(content)

    def integer(self, low, high):
        if high - low < 2**32:
            return self._data.ConsumeIntInRange(low, high)
        return low + int.from_bytes(self.content(9), "little") % (high - low + 1)

    def pick(self, options):
        return options[self.integer(0, len(options) - 1)]

    def content(self, size):
        return self._data.ConsumeBytes(size).ljust(size, b"\0")


def pickled(data: bytes) -> None:
    """Return the bytes after the first as a pickle; if the first is 0 to 2, let a grammar write a file of that kind."""
    content = b"\x80" + data
    if data[:1] and data[0] < len(CONTENTS):
        content = Grammar(Steered(data[1:])).program(CONTENTS[data[0]])
    FILE.write_bytes(content)
    use_search(refused(PEPG.load_checkpoint))
    refused(PEPG.load_best)
    use_network(refused(NeuralNetwork.load_network))


def policy(data: bytes) -> None:
    FILE.write_bytes(put_together(data))
    found = refused(PolicyFile.load)
    if found is not None and found.network.number_of_parameters < MOST_ELEMENTS:
        use_policies(found)


def an_observation(of):
    """Return an observation of a space."""
    if isinstance(of, Numbers):
        return np.ones(of.size)
    if isinstance(of, OneHot):
        return of.first
    parts = ["" if part is None else an_observation(part) for part in of.parts]
    return tuple(parts) if of.keys is None else dict(zip(of.keys, parts, strict=True))


def use_policies(found: PolicyFile) -> None:
    interface = found.interface
    seen = np.ones(interface.observation_size)
    if interface.observations is not None:
        seen = an_observation(interface.observations)
    for which in set(WHICH) & set(found.policies):
        one = found.policy(which)
        for _ in range(2):
            with contextlib.suppress(ValueError):  # a Box has no action for NaN
                one(seen)
    found.save(FOLDER / "again")
    again = PolicyFile.load(FOLDER / "again")
    assert list(again.policies) == list(found.policies)
    for which, weights in again.policies.items():
        np.testing.assert_equal(weights.to_state(), found.policies[which].to_state())


def a_task() -> Task:
    """Return the task of a training run with a 2-1 network, without an environment."""
    interface = Interface(2, (1,), "float32", -np.ones(1), np.ones(1), True)
    return Task("Walk-v0", {}, None, NeuralNetwork(2, 1, ()), interface)


def a_config() -> TrainConfig:
    return TrainConfig(hidden_sizes=(), population_size=4, seed=1, normalize_observations=True)


def training(data: bytes) -> None:
    folder = RunFolder(FOLDER)
    folder.checkpoint.write_bytes(put_together(data))
    try:
        es = _search_to_resume(folder, "Walk-v0", a_config(), ())
        if es is None or es.theta_size != 3 or not es.step:
            return
        trainer = Trainer(es, a_config(), a_task(), None, "Walk-v0")
    except ValueError as error:
        starts = (f"{folder.checkpoint}: ", f"{folder.config}: ", "checkpoint: its training state")
        if not str(error).startswith(starts):
            raise RuntimeError("a ValueError without the file's name") from error
        return
    es.training = trainer.state()
    es.save_checkpoint(FOLDER / "again")
    use_policies(trainer.policy_file())


def text(data: bytes) -> None:
    """Read the settings of a run and, after a line of dashes, its history."""
    settings, _, rows = data.partition(b"-----\n")
    folder = RunFolder(FOLDER)
    folder.config.write_bytes(settings)
    folder.history.write_bytes(rows)
    found = refused(lambda _: folder.settings(), folder.config)
    if found is not None:
        with contextlib.suppress(ValueError):  # settings that do not go together
            config = TrainConfig(**found[1])
            configs.write_toml(FOLDER / "again", found[0], config)
            again = configs.read_toml(FOLDER / "again")
            again.pop("env_id", None)
            if not again.pop(configs.LEFT_OUT, None):  # numbers that are none
                assert TrainConfig(**again) == config
    history = refused(History.read_csv, folder.history)
    if history is not None:
        assert len(list(history)) == len(history)


# ---- arguments --------------------------------------------------------------------------------

SCALARS = (
    None, True, 0, 1, 2, 3, 4, -1, 0.5, 1e-3, 1e300, -1e300, np.nan, np.inf, -np.inf, 2**50, 2**63, 10**30, 10**400,
    "x", "", b"x", 1j, (), [], {}, object(), np.float32(0.5), np.int8(2), np.array(0.5), np.array([]), 5e-324,
)  # fmt: skip
DTYPES = ("f8", "f4", "f2", ">f8", "i1", "u8", "?", "O", "c16", "U3", "M8[s]", "S2", "V4")
NAMES = (
    "mu_init", "sigma_init", "mu_lr", "sigma_lr", "l2_coeff", "optimizer", "optimizer_kwargs", "rng", "dtype",
    "n_threads", "fitness_shaping", "ties", "maximize", "nan_policy", "symmetric", "radius_init", "sigma_max_change",
    "sigma_min", "sigma_max", "sigma_decay", "sigma_decay_limit", "lower", "upper", "num_interactions", "popsize_max",
    "keep_gradient",
)  # fmt: skip
GOOD = {
    "mu_init": (0.0, np.zeros(3)), "sigma_init": (1.0, np.ones(3)), "mu_lr": (0.1,), "sigma_lr": (0.1, lambda t: 0.1),
    "l2_coeff": (0.0, 0.1), "optimizer": (Adam, SGD, ClipUp), "optimizer_kwargs": ({}, {"momentum": 0.5}),
    "rng": (None, 1), "dtype": ("f4", "f8"), "n_threads": (1, 2), "fitness_shaping": ("raw", "nes", "normalized"),
    "ties": ("argsort",), "maximize": (False,), "nan_policy": ("worst",), "symmetric": (False,),
    "radius_init": (1.0,), "sigma_max_change": (0.2,), "sigma_decay": (0.9,), "lower": (-1.0,), "upper": (1.0,),
}  # fmt: skip


def pick(data, options):
    return data.PickValueInList(list(options))


def any_value(data):
    if data.ConsumeBool():
        return pick(data, SCALARS)
    return any_array(
        data, [data.ConsumeIntInRange(0, 4) for _ in range(data.ConsumeIntInRange(0, 3))]
    )


def any_array(data, shape):
    dtype = np.dtype(pick(data, DTYPES))
    count = int(np.prod(shape))
    if dtype.kind == "O":
        array = np.empty(count, object)
        array[:] = [pick(data, SCALARS[:20]) for _ in range(count)]
        array = array.reshape(shape)
    elif dtype.kind == "U":  # damaged text is NumPy's own affair
        array = np.full(shape, pick(data, ["1.5", "x", "", "nan", "\0"]), dtype)
    else:
        content = data.ConsumeBytes(count * dtype.itemsize).ljust(count * dtype.itemsize, b"\1")
        array = np.frombuffer(content, dtype).reshape(shape)
    form = data.ConsumeIntInRange(0, 4)
    if form == 1:
        return array.tolist()
    if form == 2:
        return np.asfortranarray(array)
    if form == 3:
        return array[..., ::-1] if array.ndim else array
    if form == 4 and dtype.kind != "O":
        return np.ma.array(array, mask=array.astype(bool) if dtype.kind in "fiu" else False)
    return array


def must_name_it(error) -> None:
    """Check that an error begins with the argument's name; Python's own error for unknown keywords ends with it."""
    if not re.match(r"[\w.]+(\(\d+\))?: |.* keyword argument", str(error)):
        raise RuntimeError("an error that does not name the argument") from error


def tell(es, rewards, **more) -> None:
    """Tell rewards that may be invalid: either all numbers stay finite, or they are refused and nothing changes."""
    before = checkpoints.to_state(es)
    try:
        es.update(rewards, **more)
    except (ValueError, TypeError, RuntimeError) as error:
        must_name_it(error)
        np.testing.assert_equal(checkpoints.to_state(es), before)
    if not (np.isfinite(es.mu).all() and np.isfinite(es.sigma).all() and (es.sigma > 0).all()):
        raise RuntimeError(f"mu {es.mu}, sigma {es.sigma}")


def arguments(content: bytes) -> None:
    data = atheris.FuzzedDataProvider(content)
    sizes = [pick(data, SCALARS) if data.ConsumeIntInRange(0, 15) == 0 else size for size in (4, 3)]
    keywords = {"mu_init": 0.0, "sigma_init": 1.0, "mu_lr": 0.1, "sigma_lr": 0.1}
    for _ in range(data.ConsumeIntInRange(0, 4)):
        name = pick(data, NAMES)
        is_good = name in GOOD and data.ConsumeBool()
        keywords[name] = pick(data, GOOD[name]) if is_good else any_value(data)
    try:
        es = PEPG(*sizes, **keywords)
    except (ValueError, TypeError) as error:
        must_name_it(error)
        return
    except MemoryError:
        return
    if es.population_size * es.theta_size > MOST_ELEMENTS:
        return
    for _ in range(2):
        es.get_parameters()
        tell(es, np.arange(float(es.population_size)), **interactions(es))
    use_search(es)


def update(content: bytes) -> None:
    data = atheris.FuzzedDataProvider(content)
    es = PEPG(
        4, 3, 0.0, 1.0, 0.1, 0.1, rng=1,
        fitness_shaping=pick(data, ("centered", "nes", "normalized", "raw")),
        ties=pick(data, ("average", "argsort")), maximize=data.ConsumeBool(),
        nan_policy=pick(data, ("raise", "worst")), symmetric=data.ConsumeBool(),
        num_interactions=pick(data, (None, 10)),
        optimizer=pick(data, (Adam, SGD, ClipUp)),
    )  # fmt: skip
    for _ in range(3):
        es.get_parameters()
        rewards = any_array(data, [4]) if data.ConsumeBool() else any_value(data)
        more = {"interactions": any_value(data)} if data.ConsumeBool() else {}
        tell(es, rewards, **more)
        for name in (
            "mu",
            "sigma",
            "epsilon",
            "theta",
            "population_size",
            "n_threads",
            "sigma_max",
        ):
            if data.ConsumeIntInRange(0, 7) == 0:
                with contextlib.suppress(ValueError, TypeError, MemoryError):
                    setattr(es, name, any_value(data))
        if es.population_size * es.theta_size > MOST_ELEMENTS:
            return


# ---- seeds ------------------------------------------------------------------------------------


def searches():
    for optimizer in (Adam, SGD, ClipUp):
        for more in (
            {},
            {"dtype": "float32", "symmetric": False, "maximize": False},
            {"sigma_max_change": [0.1, 0.2, 0.3], "lower": -1.0, "upper": [1, 2, 3]},
            {"rng": np.random.default_rng(1), "num_interactions": 10},
            {"rng": np.random.RandomState(1), "keep_gradient": True},
        ):
            es = PEPG(4, 3, 0.0, 1.0, 0.1, 0.1, optimizer=optimizer, **{"rng": 1} | more)
            es.update(
                es.get_parameters()[:, 0], **({"interactions": 4} if es.num_interactions else {})
            )
            yield es
            es.get_parameters()
            es.note = "mine"
            yield es
            attempts.start_anew(es, Adam(0.1))  # with a best attempt before the current one
            yield es


def networks():
    for hidden, bias in (([], True), ([3], True), ([2, 2], False)):
        made = NeuralNetwork(2, 1, hidden, "tanh", np.sin if bias else "sigmoid", bias=bias)
        yield made
        made.weights = np.arange(float(made.number_of_parameters))
        yield made
    for cell in CELLS:
        made = RecurrentNetwork(2, 1, 3, cell, "tanh", bias=cell != "elman")
        made.weights = np.linspace(-1, 1, made.number_of_parameters)
        yield made


def low_rank_searches():
    for structure, more in (
        (NeuralNetwork(2, 1, [3], "tanh"), {}),
        (NeuralNetwork(2, 2, [], bias=False), {"rank": 2, "symmetric": False}),
        (RecurrentNetwork(2, 1, 2), {"dtype": "float32", "optimizer": ClipUp}),
        ([(2, 3), (3,)], {"sigma_decay": 0.9, "l2_coeff": 0.1}),
    ):
        is_list = isinstance(structure, list)
        start = np.zeros(9 if is_list else structure.number_of_parameters)
        es = LowRankPEPG(4, start, 0.5, mu_lr=0.1, structure=structure, rng=1, **more)
        es.update(es.get_parameters()[:, 0])
        yield es
        es.get_parameters()
        yield es


def contents_of_pepg():
    """Return what pepg-es pickles into a checkpoint, a best candidate and a network."""
    import pepg
    import pepg.nn

    es = pepg.PEPG(
        population_size=4, theta_size=3, mu_init=0, sigma_init=1, mu_lr=0.1, sigma_lr=0.1
    )
    es.get_parameters()
    es.update(np.arange(4.0))
    made = pepg.NeuralNetwork(
        2, 1, [3], hidden_activation=np.tanh, output_activation=pepg.nn.sigmoid
    )
    made.weights = np.zeros(made.number_of_parameters)
    return vars(es), (es.best_theta, es.best_mu, es.best_sigma), vars(made)


CONTENTS: list = []  # of the target `pickle`; other targets do not need pepg-es


def pickles():
    for value in CONTENTS:
        yield from (pickle.dumps(value, protocol)[1:] for protocol in (2, 4, 5))
    rng = np.random.default_rng(0)
    yield from (bytes([i % 3]) + rng.bytes(400) for i in range(30))


def kept():
    """Return the policies of a run with a 2-1 network."""
    normalizer = Normalizer(np.zeros(2), np.ones(2), 5.0)
    yield {"center": Weights(np.zeros(3), None, np.nan)}
    yield {which: Weights(np.arange(3.0), normalizer, 1.5) for which in WHICH}


def policies():
    task = a_task()
    for some in kept():
        file = PolicyFile("Walk-v0", {"a": [1, 2.5]}, 20, task.network, task.interface, some)
        file.save(FILE)
        yield taken_apart(FILE)
    discrete = Interface(2, None, "int64", np.array([0]), np.array([2]), False)
    some = {"best": Weights(np.zeros(9), None, 2.0)}
    PolicyFile("", {}, None, NeuralNetwork(2, 3, ()), discrete, some).save(FILE)
    yield taken_apart(FILE)
    of_two = OneHot(np.array([0, 5]), np.array([2, 3]))
    room = Several(("at", "mission", "rest"), (of_two, None, Several(None, (Numbers(2),))))
    first, last = np.array([0, -1]), np.array([1, 1])
    multi = Interface(7, (2,), "int64", first, last, False, None, room, True)
    for cell in CELLS:
        remembers = RecurrentNetwork(7, 5, 2, cell)
        some = {"center": Weights(np.linspace(-1, 1, remembers.number_of_parameters), None, 0.5)}
        PolicyFile("Room-v0", {}, None, remembers, multi, some, frame_stack=3).save(FILE)
        yield taken_apart(FILE)


def training_runs():
    for some in kept():
        es = configs.make_search(a_config(), a_task().network)
        trainer = Trainer(es, a_config(), a_task(), None, "Walk-v0")
        trainer.policies = some
        for _ in range(2):
            es.update(es.get_parameters()[:, 0])
        if len(some) > 1:
            trainer.keeps(dict.fromkeys(COLUMNS, 1.0))
        es.training = trainer.state()
        es.save_checkpoint(FILE)
        yield taken_apart(FILE)


def texts():
    from pepg_fast import CSVLog

    es = PEPG(4, 3, 0.0, 1.0, 0.1, 0.1, rng=1)
    es.run(sum, max_steps=3, callbacks=CSVLog(FOLDER / "history.csv", overwrite=True))
    history = (FOLDER / "history.csv").read_bytes()
    for config in (
        a_config(),
        TrainConfig(env_args={"a": [1, {"b": True}]}, target=3.0, max_speed=0.1),
    ):
        configs.write_toml(FOLDER / "config.toml", "Walk-v0", config)
        yield (FOLDER / "config.toml").read_bytes() + b"-----\n" + history
    yield b"env_args_left_out = ['a']\n-----\n" + history[:-30]


def seeds(target: str):
    if target == "checkpoint":
        for es in searches():
            es.save_checkpoint(FILE)
            yield taken_apart(FILE)
            yield FILE.read_bytes()[:-71]
    elif target == "low_rank":
        for es in low_rank_searches():
            es.save_checkpoint(FILE)
            yield taken_apart(FILE)
    elif target == "best":
        for es in searches():
            es.save_best(FILE)
            yield taken_apart(FILE)
    elif target == "network":
        for made in networks():
            made.save_network(FILE)
            yield taken_apart(FILE)
    elif target == "pickle":
        yield from pickles()
    elif target == "policy":
        yield from policies()
    elif target == "training":
        yield from training_runs()
    elif target == "text":
        yield from texts()
    else:
        rng = np.random.default_rng(0)
        yield from (rng.bytes(200) for _ in range(20))


TARGETS = {
    "checkpoint": checkpoint, "best": best, "network": network, "pickle": pickled, "arguments": arguments,
    "update": update, "policy": policy, "training": training, "text": text, "low_rank": low_rank,
}  # fmt: skip


def main() -> None:
    target, corpus = sys.argv[1], Path(sys.argv[2])
    if target == "pickle":
        CONTENTS.extend(contents_of_pepg())
    corpus.mkdir(parents=True, exist_ok=True)
    for i, seed in enumerate(seeds(target)):
        (corpus / f"seed-{i}").write_bytes(seed)
    os.chdir(FOLDER)
    atheris.Setup(
        [
            sys.argv[0],
            str(corpus.resolve()),
            "-max_len=20000",
            f"-artifact_prefix={corpus.resolve()}-",
            *sys.argv[3:],
        ],
        TARGETS[target],
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()

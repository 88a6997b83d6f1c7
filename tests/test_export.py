"""Policies exported as C and as NumPy modules; test_export_peers.py tests the formats of other libraries."""

import ctypes
import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

spaces = pytest.importorskip("gymnasium").spaces
import envs  # noqa: E402
import exports  # noqa: E402

from pepg_fast import NeuralNetwork, cli  # noqa: E402
from pepg_fast.training import Policy  # noqa: E402
from pepg_fast.training.policy import PolicyFile, Weights  # noqa: E402
from pepg_fast.training.spaces import Interface  # noqa: E402

TOLERANCE = {"float32": 1e-6, "float64": 1e-12}
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-pedantic"]
GOLDEN = Path(__file__).parent / "data" / "exports" / "golden.npz"


def pointer(array, row):
    return ctypes.c_void_p(array.ctypes.data + row * array.strides[0])


class InC:
    """A policy that was exported as C and compiled."""

    def __init__(self, policy, folder, dtype):
        self.dtype = np.dtype(dtype)
        self.header, source = policy.to_c(folder / "my-policy.c", dtype=dtype)
        library = folder / f"{dtype}.so"
        command = ["cc", "-std=c99", *WARNINGS, "-O1", "-shared", "-fPIC"]
        done = subprocess.run(
            [*command, source, "-o", library, "-lm"], capture_output=True, text=True
        )
        assert not done.returncode, done.stderr
        loaded = ctypes.CDLL(str(library))
        self._outputs, self._action = loaded.my_policy_outputs, loaded.my_policy_action
        text = self.header.read_text()
        self.sizes = {
            name: int(size) for name, size in re.findall(r"#define MY_POLICY_(\w+) (\d+)", text)
        }
        kind = re.search(r"(\w+) \*action\)", text)[1]
        self.kind = np.dtype(
            {"float": "f4", "double": "f8", "int64_t": "i8", "uint64_t": "u8"}[kind]
        )

    def run(self, seen):
        """Return outputs and actions for consecutive observations, and whether any is not a number."""
        seen, n = np.ascontiguousarray(seen, self.dtype), len(seen)
        outputs = np.full((n, self.sizes["OUTPUT_SIZE"]), np.nan, self.dtype)
        actions = np.zeros((n, self.sizes["ACTION_SIZE"]), self.kind)
        states = [np.zeros((1, self.sizes.get("STATE_SIZE", 0)), self.dtype) for _ in range(2)]
        status = 0
        for i in range(n):
            one, other = ([pointer(state, 0)] if state.size else [] for state in states)
            if i % exports.STEPS == 0:
                for state in states:
                    state[:] = 0
            self._outputs(pointer(seen, i), *one, pointer(outputs, i))
            status |= self._action(pointer(seen, i), *other, pointer(actions, i))
        return outputs, actions, status


#: Each case in one of the widths, some in both.
CASES = [
    (name, dtype)
    for i, name in enumerate(exports.CASES)
    for j, dtype in enumerate(TOLERANCE)
    if i % 2 == j or name in ("discrete", "lstm")
]


@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler")
@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_the_c_file_computes_what_the_policy_does(name, dtype, tmp_path):
    policy = exports.policy_of(name)
    seen = exports.observations(policy, dtype)
    want = exports.wanted(policy, seen)
    outputs, actions, status = InC(policy, tmp_path, dtype).run(seen)
    assert status == 0
    actions = actions.astype(policy.interface.dtype).reshape(want.actions.shape)
    exports.assert_same(policy, want, outputs, actions, TOLERANCE[dtype])


@pytest.mark.parametrize(
    "compiler", [["gcc", "-std=c99"], ["g++", "-xc++", "-std=c++11"], ["clang", "-std=c99"], ["clang++", "-xc++"]],
    ids=lambda command: command[0],
)  # fmt: skip
def test_no_compiler_warns(compiler, tmp_path):
    if not shutil.which(compiler[0]):
        pytest.skip(f"no {compiler[0]}")
    sources = [
        exports.policy_of(name).to_c(tmp_path / f"{name}_{dtype}.c", dtype=dtype)[1]
        for name, dtype in CASES[:: 1 if compiler[0] == "gcc" else 4]
    ]
    command = [*compiler, *WARNINGS, "-fsyntax-only", *sources]
    done = subprocess.run(command, capture_output=True, text=True)
    assert not done.returncode, done.stderr


@pytest.mark.skipif(not shutil.which("gcc"), reason="no gcc")
@pytest.mark.parametrize("name", ["float32", "matrix", "lstm"])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_the_stack_that_it_says_it_takes_is_enough(name, dtype, tmp_path):
    _, source = exports.policy_of(name, size=200).to_c(tmp_path / "p.c", dtype=dtype)
    command = ["gcc", "-std=c99", "-Os", "-fstack-usage", "-c", source.name]
    subprocess.run(command, cwd=tmp_path, check=True)
    frames = [line.split("\t")[1:] for line in (tmp_path / "p.su").read_text().splitlines()]
    assert {kind for _, kind in frames} == {"static"}
    taken = sum(int(size) for size, _ in frames)
    said = int(re.search(r"about (\d+) bytes of stack", source.read_text())[1])
    assert taken <= said <= taken + 192


@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler")
def test_c_says_when_an_action_is_not_a_number(tmp_path):
    policy = exports.policy_of("float32")
    outputs, _, status = InC(policy, tmp_path, "float64").run(np.full((1, 5), np.nan))
    assert np.isnan(outputs).all()
    assert status == 1


def test_c_needs_nothing_but_libm_and_says_what_it_is(tmp_path):
    header, source = exports.policy_of("discrete").to_c(tmp_path / "cart")
    text = source.read_text()
    assert re.findall(r'#include (["<].*[">])', text) == ['"cart.h"', "<math.h>"]
    assert re.findall(r"#include (.*)", header.read_text()) == ["<stdint.h>"]
    assert not re.search(r"alloc|\bfree\b|\bstatic (?!const|void|int|float)", text)
    comment = " ".join(text[: text.index("*/")].replace("\n *", "").split())
    assert "A policy for Words-v0, exported by pepg_fast" in comment
    assert "PEPG" in comment
    assert "reached a mean return of 1.5" in comment
    assert "Network 5-16-16-3: 419 parameters, in float." in comment
    constants = 4 * 419 + 8 * 10 + 8
    assert f"{constants} bytes of constants, about" in comment


@pytest.mark.parametrize("name", ["*/ int x; /*", "a\\", "??/", "two\nlines", "é", '"""'])
def test_a_name_of_an_environment_stays_in_its_comment(name, tmp_path):
    policy = exports.policy_of("scalar")
    policy.env_id, policy.env_args = name, {"text": name}
    header, source = policy.to_c(tmp_path / "p.c")
    for path in (header, source):
        comment, _, rest = path.read_text().partition("*/")
        assert "/*" not in comment[2:]
        assert not {"\\", "??"} & set(re.findall(r"\\|\?\?", comment))
        assert rest.startswith(("\n#include", "\n\n#ifndef"))
        comment.encode("ascii")
    compile(policy.to_numpy(tmp_path / "p.py")[0].read_text(), "p.py", "exec")


@pytest.mark.parametrize("name", ['a".c', "é.c", ".c", "-.c", "a\\b.c"])
def test_a_name_that_is_invalid_in_c_is_refused(name, tmp_path):
    with pytest.raises(ValueError, match=r"filename: wanted a name of letters"):
        exports.policy_of("scalar").to_c(tmp_path / name)
    assert not list(tmp_path.iterdir())


def loaded(path):
    spec = importlib.util.spec_from_file_location("exported", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", exports.CASES)
def test_the_numpy_module_computes_what_the_policy_does(name, tmp_path):
    policy = exports.policy_of(name)
    seen = exports.observations(policy, "float64")
    want = exports.wanted(policy, seen)
    path = policy.to_numpy(tmp_path / "policy.py")[0]
    module, more = loaded(path), ()
    if want.states is not None:
        more = (exports.before(want.states),)
    results = module.outputs(seen, *more), module.action(seen, *more)
    if more:
        for _, states in results:
            np.testing.assert_allclose(states, want.states, rtol=0, atol=1e-12)
    outputs, actions = ((result[0] if more else result) for result in results)
    assert actions.dtype == policy.interface.dtype
    exports.assert_same(policy, want, outputs, actions, 1e-12)
    one = module.action(seen[0], *(part[0] for part in more))
    policy.reset()
    again = policy(seen[0])
    assert type(one[0] if more else one) is type(again)
    assert set(re.findall(r"^(?:import|from) (\w+)", path.read_text(), re.M)) == {"base64", "numpy"}
    assert len(path.read_text().splitlines()) < 150
    with pytest.raises(ValueError, match=r"observation: wanted 5 numbers, got shape \(4,\)"):
        module.action(seen[0, :4], *(part[0] for part in more))


# ---- what cannot be exported --------------------------------------------------------------------------------------


def softplus(x):
    return np.log1p(np.exp(x))


def with_activation(hidden, output="identity"):
    network = NeuralNetwork(5, 1, (3,), hidden, output)
    network.weights = np.ones(network.number_of_parameters)
    env = envs.Words(spaces.Box(-1.0, 1.0, (1,)))
    env.observation_space = spaces.Box(-1.0, 1.0, (5,))
    return Policy(network, Interface.of(env, "Words", True))


@pytest.mark.parametrize("format", ["c", "onnx", "torch", "numpy"])
def test_an_activation_in_python_is_in_no_format(format, tmp_path):
    for policy in (with_activation(softplus), with_activation("tanh", softplus)):
        with pytest.raises(
            ValueError, match="got the Python function softplus, which cannot be exported"
        ):
            policy.export(tmp_path / "policy", format)
    assert not list(tmp_path.iterdir())


def test_an_activation_of_numpy_is_in_the_numpy_module_alone(tmp_path):
    policy = with_activation(np.sin, np.arctan)
    with pytest.raises(
        ValueError, match=r"for the format c, got numpy.sin; the format numpy supports it"
    ):
        policy.to_c(tmp_path / "p.c")
    module = loaded(policy.to_numpy(tmp_path / "p.py")[0])
    seen = np.linspace(-1, 1, 5)
    np.testing.assert_allclose(module.action(seen), policy(seen), rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda policy, path: policy.to_c(path / "p.c", dtype="float16"), "dtype: wanted 'float32' or 'float64'"),
        (lambda policy, path: policy.to_c(path / "p.txt"), r"filename: wanted a name that ends in \.c for"),
        (lambda policy, path: policy.to_numpy(path / "numpy.py"), r"filename: .* imports, got numpy\.py"),
        (lambda policy, path: policy.export(path / "p", "java"), "format: wanted 'c', 'onnx', 'torch' or 'numpy'"),
    ],
)  # fmt: skip
def test_arguments_are_checked(call, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        call(exports.policy_of("scalar"), tmp_path)
    assert not list(tmp_path.iterdir())


def test_weights_beyond_float32_are_refused(tmp_path):
    policy = exports.policy_of("scalar")
    policy.network.weights[3] = 1e39
    with pytest.raises(ValueError, match="weights: wanted numbers within the range of float32"):
        policy.to_c(tmp_path / "p.c")
    assert policy.to_c(tmp_path / "p.c", dtype="float64")


@pytest.mark.parametrize("suffix", [".c", ".h", ".py"])
def test_a_file_says_what_its_policy_reads(suffix, tmp_path):
    env = envs.Words(spaces.Discrete(2))
    env.observation_space = spaces.MultiDiscrete([[2, 3]] * 4)
    interface = Interface.of(env, "Words", True)
    network = NeuralNetwork(20, 2)
    network.weights = np.zeros(network.number_of_parameters)
    policy = Policy(network, interface, frame_stack=4)
    policy.to_c(tmp_path / "p.c")
    policy.to_numpy(tmp_path / "p.py")
    text = " ".join((tmp_path / f"p{suffix}").read_text().split())
    assert "reads the last 4 observations together, the oldest first" in text
    assert "reads observations as gymnasium.spaces.utils.flatten returns them" in text


@pytest.mark.parametrize("format", ["c", "onnx", "torch"])
def test_actions_beyond_float32_are_refused(format, tmp_path):
    env = envs.Words(spaces.Box(-1e300, 1e300, (2,), np.float64))
    env.observation_space = spaces.Box(-1.0, 1.0, (5,))
    interface = Interface.of(env, "Words", True)
    network = NeuralNetwork(5, 2)
    network.weights = np.zeros(network.number_of_parameters)
    policy = Policy(network, interface)
    message = "dtype: wanted 'float64' for actions with limits beyond the range of float32, got 'fl"
    with pytest.raises(ValueError, match=message):
        policy.export(tmp_path / "p", format)
    assert not list(tmp_path.iterdir())
    assert "1e+300" in policy.to_c(tmp_path / "p.c", dtype="float64")[1].read_text()


def test_a_policy_without_weights_is_refused(tmp_path):
    policy = exports.policy_of("scalar")
    policy.network = NeuralNetwork(5, 1)
    with pytest.raises(ValueError, match="network: wanted a network with weights, got one without"):
        policy.to_c(tmp_path / "p.c")


@pytest.mark.parametrize("format", ["onnx", "torch"])
def test_a_format_whose_library_is_missing_says_so(format, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, format, None)
    monkeypatch.delitem(
        __import__("sys").modules, f"pepg_fast.export.{format}_module", raising=False
    )
    with pytest.raises(ModuleNotFoundError, match=rf'pip install "pepg-fast\[{format}\]"'):
        exports.policy_of("scalar").export(tmp_path / "p", format)


# ---- the command --------------------------------------------------------------------------------------------------


def test_the_command_exports_a_run(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    policy = exports.policy_of("discrete")
    kept = {"center": Weights(policy.network.weights, policy.normalizer, 1.0)}
    folder = tmp_path / "runs" / "mine"
    folder.mkdir(parents=True)
    PolicyFile("Words-v0", {}, None, policy.network, policy.interface, kept).save(
        folder / "policy.npz"
    )
    assert cli.main(["export", "runs/mine", "--format", "c"]) == 0
    assert capsys.readouterr().out.split() == [str(folder / "policy.h"), str(folder / "policy.c")]
    assert "double policy_outputs" not in (folder / "policy.h").read_text()
    arguments = ["--format", "c", "--output", "cart.c", "--dtype", "float64"]
    assert cli.main(["export", "runs/mine/policy.npz", *arguments]) == 0
    assert "void cart_outputs(const double *observation" in (tmp_path / "cart.h").read_text()
    capsys.readouterr()
    assert cli.main(["export", "runs/mine", "--format", "numpy", "--policy", "best"]) == 2
    assert (
        "which: wanted one of this run's policies (center), got 'best'" in capsys.readouterr().err
    )
    assert cli.main(["export", "runs/mine", "--format", "numpy"]) == 0
    seen = exports.observations(policy, "float64")[1]
    assert loaded(folder / "policy.py").action(seen) == policy(seen)


# ---- golden outputs of other libraries ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", exports.CASES)
def test_policies_compute_what_other_libraries_did(name):
    """data/exports/make.py computed these results with onnxruntime and torch from the exported policies."""
    policy = exports.policy_of(name)
    with np.load(GOLDEN) as golden:
        rows = golden["rows"]
        want = exports.wanted(policy, exports.observations(policy, "float32"))
        for library in ("onnx", "torch"):
            got = golden[f"{name}_{library}"]
            np.testing.assert_allclose(
                got / want.scale[rows], want.outputs[rows] / want.scale[rows], rtol=0, atol=3e-6
            )

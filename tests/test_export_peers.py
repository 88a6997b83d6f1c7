"""Policies exported as ONNX models and torch modules, and read back; `.ci/reliability peers` installs the packages."""

import re
from pathlib import Path

import numpy as np
import pytest

spaces = pytest.importorskip("gymnasium").spaces
torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
import exports  # noqa: E402

from pepg_fast.training import Policy  # noqa: E402

pytestmark = pytest.mark.filterwarnings(
    "ignore:`torch.jit:FutureWarning", "ignore:`torch.jit:DeprecationWarning"
)
TOLERANCE = {"float32": 3e-6, "float64": 1e-12}
DOCS = Path(__file__).parents[1] / "docs"
CASES = [(name, dtype) for name in exports.CASES for dtype in TOLERANCE]


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_the_onnx_model_computes_what_the_policy_does(name, dtype, tmp_path):
    policy = exports.policy_of(name)
    seen = exports.observations(policy, dtype)
    want = exports.wanted(policy, seen)
    path = policy.to_onnx(tmp_path / "policy.onnx", dtype=dtype)[0]
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert "A policy for Words-v0" in model.graph.doc_string
    session = onnxruntime.InferenceSession(path)
    inputs = {"observation": seen.astype(dtype)}
    if want.states is not None:
        inputs["state"] = exports.before(want.states).astype(dtype)
        states = session.run(["next_state"], inputs)[0]
        np.testing.assert_allclose(states, want.states, rtol=0, atol=TOLERANCE[dtype])
    actions, outputs = session.run(["action", "outputs"], inputs)
    assert actions.dtype == policy.interface.dtype
    exports.assert_same(policy, want, outputs, actions, TOLERANCE[dtype])
    one = {key: value[:1] for key, value in inputs.items()}
    np.testing.assert_allclose(session.run(["outputs"], one)[0], outputs[:1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("scripted", [False, True])
@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_the_torch_module_computes_what_the_policy_does(name, dtype, scripted, tmp_path):
    policy = exports.policy_of(name)
    seen = exports.observations(policy, dtype)
    want = exports.wanted(policy, seen)
    module = policy.to_torch(dtype=dtype)
    if scripted:
        path = policy.export(tmp_path / "policy", "torch", dtype=dtype)[0]
        assert path.name == "policy.pt"
        module = torch.jit.load(path)
    inputs = [torch.from_numpy(seen.astype(dtype))]
    if want.states is not None:
        inputs.append(torch.from_numpy(exports.before(want.states).astype(dtype)))
    with torch.no_grad():
        outputs, actions = module.outputs(*inputs), module(*inputs)
        one = module(*(each[0] for each in inputs))
    if want.states is not None:
        np.testing.assert_allclose(actions[1], want.states, rtol=0, atol=TOLERANCE[dtype])
        outputs, actions, one = outputs[0], actions[0], one[0]
    assert tuple(one.shape) == want.actions.shape[1:]
    exports.assert_same(policy, want, outputs, np.asarray(actions), TOLERANCE[dtype])


def test_a_module_can_be_trained_further():
    module = exports.policy_of("discrete").to_torch()
    module.outputs(torch.zeros(3, 5)).sum().backward()
    assert all(weight.grad is not None for weight in module.parameters())


# ---- the way in ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("layers", "output"),
    [((), "identity"), ((8, 6), "identity"), ((8,), "tanh")],
)
def test_a_policy_of_a_torch_module(layers, output, bias):
    parts, n = [], 4
    for size in layers:
        parts += [torch.nn.Linear(n, size, bias=bias), torch.nn.ReLU()]
        n = size
    inner = torch.nn.Sequential(torch.nn.Linear(n, 2, bias=bias), torch.nn.Identity())
    module = torch.nn.Sequential(*parts, inner, *([torch.nn.Tanh()] if output == "tanh" else []))
    policy = Policy.from_torch(module, "CartPole-v1")
    seen = np.random.default_rng(0).normal(size=(9, 4))
    with torch.no_grad():
        want = module.double()(torch.from_numpy(seen)).numpy()
    np.testing.assert_allclose(policy.network.forward_batch(seen), want, rtol=0, atol=1e-14)
    assert policy(seen[0]) == want[0].argmax()


def test_a_policy_survives_torch_and_back():
    policy = exports.policy_of("discrete")
    again = Policy.from_torch(policy.to_torch(dtype="float64"), lambda: Three())
    np.testing.assert_array_equal(again.network.weights, policy.network.weights)


class Three:
    """An environment with observations of five numbers and three actions."""

    observation_space, action_space = spaces.Box(-1, 1, (5,)), spaces.Discrete(3)
    unwrapped = reset = step = None

    def close(self):
        pass


LINEAR = torch.nn.Linear(4, 2)


@pytest.mark.parametrize(
    ("module", "error", "message"),
    [
        (3, TypeError, "module: wanted a torch.nn.Module, got int"),
        (torch.nn.ReLU(), ValueError, r"module: wanted Linear layers.*got ReLU\(\)"),
        (torch.nn.Sequential(), ValueError, "module: wanted Linear layers, got"),
        (torch.nn.GRUCell(4, 2), ValueError, r"module: wanted Linear layers.*got GRUCell\(4, 2\)"),
        (torch.nn.Sequential(LINEAR, torch.nn.Dropout()), ValueError, "got Dropout"),
        (torch.nn.Sequential(LINEAR, torch.nn.ReLU(), torch.nn.Tanh()), ValueError, r"got Tanh\(\)"),
        (torch.nn.Sequential(LINEAR, torch.nn.Softmax(0)), ValueError, "over the last axis, got dim=0"),
        (
            torch.nn.Sequential(LINEAR, torch.nn.ReLU(), torch.nn.Linear(2, 2), torch.nn.Tanh(), torch.nn.Linear(2, 2)),
            ValueError, "the same activation for all hidden layers",
        ),
        (
            torch.nn.Sequential(LINEAR, torch.nn.ReLU(), torch.nn.Linear(2, 2, bias=False)),
            ValueError, "biases in all layers or in none",
        ),
        (torch.nn.Linear(5, 2), ValueError, "network: wanted 4 inputs and 2 outputs for CartPole-v1, got 5 and 2"),
        (torch.nn.Sequential(LINEAR, torch.nn.Linear(3, 2)), ValueError, "module: wanted as many inputs.*3"),
    ],
)  # fmt: skip
def test_other_modules_are_refused(module, error, message):
    with pytest.raises(error, match=message):
        Policy.from_torch(module, "CartPole-v1")


def test_the_documented_search_over_a_module_runs():
    blocks = re.findall(r"^```python\n(.*?)^```", (DOCS / "export.md").read_text(), re.S | re.M)
    recipe = next(block for block in blocks if "torch.func" in block)
    namespace: dict = {}
    exec(compile(recipe, "export.md", "exec"), namespace)
    assert namespace["loss_of_center"] < 0.02  # 0.056 before
    with torch.no_grad():
        found = namespace["module"](namespace["inputs"])[:, 0]
    loss = (found - namespace["targets"]).square().mean()
    assert float(loss) == pytest.approx(namespace["loss_of_center"], rel=1e-4)


def test_torch_cells_of_a_policy_are_those_of_its_network():
    module = exports.policy_of("gru").to_torch(dtype="float64")
    assert isinstance(module.cell.cell, torch.nn.GRUCell)
    parts = exports.policy_of("gru").network.parts()
    np.testing.assert_array_equal(module.cell.cell.weight_hh.detach(), parts["weight_hh"])

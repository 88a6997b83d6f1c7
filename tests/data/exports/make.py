"""Make golden.npz: outputs of onnxruntime and torch for exported policies. Run with tests/ on the import path."""

import tempfile
from pathlib import Path

import exports
import numpy as np
import onnxruntime
import torch

found = {"rows": np.arange(0, exports.N, 250)}
for name in exports.CASES:
    policy = exports.policy_of(name)
    seen = exports.observations(policy, "float32")
    want = exports.wanted(policy, seen)
    rows = found["rows"]
    inputs = {"observation": seen[rows].astype(np.float32)}
    if want.states is not None:
        inputs["state"] = exports.before(want.states)[rows].astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        model = policy.to_onnx(Path(folder, "policy.onnx"))[0]
        session = onnxruntime.InferenceSession(model)
        found[f"{name}_onnx"] = session.run(["outputs"], inputs)[0]
    with torch.no_grad():
        result = policy.to_torch().outputs(*(torch.from_numpy(each) for each in inputs.values()))
        found[f"{name}_torch"] = (result if want.states is None else result[0]).numpy()
np.savez_compressed(Path(__file__).parent / "golden.npz", **found)

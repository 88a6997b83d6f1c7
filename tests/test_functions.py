"""storage/callable_registry.py: this package's own callables as data."""

import numpy as np
import pytest

from pepg_fast import Decay, presets
from pepg_fast.storage import callable_registry


@pytest.mark.parametrize(
    "value",
    [
        0.1,
        "centered",
        np.arange(3.0),
        Decay(0.1, 0.5, every=3, limit=0.01),
        presets.DecayCountedRate(0.1, 0.5, every=3, beta_1=0.9, beta_2=0.999),
        presets.EstoolShaping(False, 0.01),
        presets.sample_normalized,
        presets.standardized,
        presets.scaled_to_one,
    ],
    ids=str,
)
def test_a_round_trip(value):
    again = callable_registry.from_state(callable_registry.to_state(value))
    if isinstance(value, np.ndarray):
        np.testing.assert_array_equal(again, value)
    else:
        assert repr(again) == repr(value)
        assert type(again) is type(value)


class MyDecay(Decay):
    pass


@pytest.mark.parametrize("value", [lambda step: 0.1, np.tanh, MyDecay(0.1, 0.5), print], ids=str)
def test_a_users_callable_is_no_data(value):
    assert callable_registry.to_state(value) is None


@pytest.mark.parametrize(
    "stored",
    [{"name": "system", "arguments": {}}, {}, {"name": "Decay", "arguments": {"initial": 1, "factor": 0}}],
)  # fmt: skip
def test_other_data_is_refused(stored):
    with pytest.raises(ValueError, match=r"callable: wanted|factor: wanted"):
        callable_registry.from_state(stored)

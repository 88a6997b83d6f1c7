"""Observations to vectors, outputs to actions."""

import numpy as np
import pytest

spaces = pytest.importorskip("gymnasium").spaces
import envs  # noqa: E402

from pepg_fast.training.spaces import Interface  # noqa: E402


def interface(action, scaled=True, observation=None):
    env = envs.Words(action)
    if observation is not None:
        env.observation_space = observation
    return Interface.of(env, "Words", scaled)


def test_outputs_from_minus_one_to_one_span_the_box():
    box = spaces.Box(np.array([-2.0, 0.0], np.float32), np.array([2.0, 10.0], np.float32))
    outputs = np.array([[-1.0, -1.0], [0.0, 0.0], [1.0, 1.0], [9.0, -9.0]])
    actions = interface(box).actions(outputs)
    assert actions.dtype == np.float32
    np.testing.assert_array_equal(actions, [[-2, 0], [0, 5], [2, 10], [2, 0]])


def test_unscaled_outputs_are_clipped_to_the_box():
    box = spaces.Box(-2.0, 2.0, (1,), np.float64)
    actions = interface(box, scaled=False).actions(np.array([[-3.0], [0.7], [5.0]]))
    assert actions.dtype == np.float64
    np.testing.assert_array_equal(actions, [[-2.0], [0.7], [2.0]])


def test_coordinates_without_an_end_are_the_outputs_within_the_other():
    box = spaces.Box(np.array([-np.inf, 0.0]), np.array([np.inf, np.inf]), dtype=np.float64)
    actions = interface(box).actions(np.array([[-30.0, -30.0], [7.0, 7.0]]))
    np.testing.assert_array_equal(actions, [[-30.0, 0.0], [7.0, 7.0]])


def test_the_largest_box_does_not_overflow():
    most = np.finfo(np.float64).max
    box = spaces.Box(-most, most, (1,), np.float64)
    actions = interface(box).actions(np.array([[-1.0], [0.0], [1.0]]))
    np.testing.assert_array_equal(actions, [[-most], [0.0], [most]])


def test_actions_have_the_shape_of_the_box_and_are_arrays_of_their_own():
    box = spaces.Box(-1.0, 1.0, (2, 3), np.float32)
    face = interface(box)
    assert face.output_size == 6
    outputs = np.zeros((4, 6))
    actions = face.actions(outputs)
    assert actions.shape == (4, 2, 3)
    actions[...] = 9.0
    assert not outputs.any()
    assert not face.actions(outputs).any()


def test_a_discrete_action_is_the_largest_output_from_the_first_action_on():
    face = interface(spaces.Discrete(3, start=3))
    assert face.output_size == 3
    actions = face.actions(np.array([[0.0, 2.0, 1.0], [5.0, 2.0, 1.0], [0.0, 0.0, 1.0]]))
    assert actions == [4, 3, 5]
    assert all(type(action) is int for action in actions)


def test_an_image_is_a_vector():
    face = interface(spaces.Discrete(2), observation=spaces.Box(0, 255, (4, 3, 3), np.uint8))
    assert face.observation_size == 36


@pytest.mark.parametrize(
    "action",
    [
        spaces.MultiDiscrete([2, 2]),
        spaces.MultiBinary(3),
        spaces.Dict({}),
        spaces.Box(0, 9, (1,), np.int64),
    ],
)
def test_other_actions_are_refused_with_what_is_supported(action):
    with pytest.raises(ValueError, match=r"Words: wanted Box or Discrete actions.*supported are"):
        interface(action)


def test_other_observations_are_refused_with_what_is_supported():
    with pytest.raises(ValueError, match=r"wanted Box observations, got Text.*FlattenObservation"):
        Interface.of(envs.Words(), "Words", True)


@pytest.mark.parametrize("action", [spaces.Discrete(4), spaces.Box(-np.inf, 2.0, (3,), np.float32)])
def test_as_data_and_back(action):
    face = interface(action)
    again = Interface.from_state(face.to_state())
    outputs = np.random.default_rng(0).normal(size=(5, face.output_size))
    np.testing.assert_array_equal(face.actions(outputs), again.actions(outputs))
    assert again.observation_size == face.observation_size

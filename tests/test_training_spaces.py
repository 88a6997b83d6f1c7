"""Conversions of observations to vectors, and of outputs to actions."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

spaces = pytest.importorskip("gymnasium").spaces
import envs  # noqa: E402
import gymnasium  # noqa: E402

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
    assert list(actions) == [4, 3, 5]
    assert all(type(action) is np.int64 for action in actions)


MOST = np.finfo(np.float64).max
SMALL = np.finfo(np.float64).smallest_subnormal
ENDS = st.floats(allow_nan=False) | st.sampled_from(
    [-MOST, MOST, -np.inf, np.inf, 0.0, -0.0, SMALL]
)
OUTPUTS = st.floats(allow_nan=False) | st.sampled_from([-1.0, 1.0, -np.inf, np.inf])


@st.composite
def boxes(draw):
    """Draw any Box of floats."""
    dtype = np.dtype(draw(st.sampled_from([np.float16, np.float32, np.float64, ">f4"])))
    shape = draw(arrays_of.array_shapes(min_dims=0, max_dims=3, max_side=3))
    ends = st.floats(allow_nan=False, width=8 * dtype.itemsize)
    if dtype.itemsize == 8:
        ends = ENDS
    first, second = (draw(arrays_of.arrays(dtype, shape, elements=ends)) for _ in range(2))
    low, high = np.asarray(np.minimum(first, second)), np.asarray(np.maximum(first, second))
    if draw(st.integers(0, 3)) == 0:
        high = low.copy()
    low, high = np.where(low == np.inf, 0, low), np.where(high == -np.inf, 0, high)
    return spaces.Box(low.astype(dtype), high.astype(dtype), shape, dtype)


def is_like_a_sample(action, space):
    # Gymnasium cannot sample from a Box of the largest numbers.
    is_box = isinstance(space, spaces.Box)
    sample = np.zeros(space.shape, space.dtype) if is_box else space.sample()
    if type(action) is not type(sample) or action.dtype != sample.dtype:
        return False
    return np.shape(action) == np.shape(sample) and space.contains(action)


@settings(max_examples=300, deadline=None)
@given(space=boxes(), scaled=st.booleans(), data=st.data())
def test_every_action_is_in_its_box_and_like_a_sample(space, scaled, data):
    face = interface(space, scaled)
    size = face.output_size
    outputs = data.draw(arrays_of.arrays(np.float64, (3, size), elements=OUTPUTS))
    outputs = np.concatenate([outputs, np.full((1, size), -1.0), np.full((1, size), 1.0)])
    before = outputs.copy()
    for again in (face, Interface.from_state(face.to_state())):
        actions = again.actions(outputs)
        assert len(actions) == 5
        for action in actions:
            assert is_like_a_sample(action, space)
            assert np.isfinite(action).all()
            assert action.flags.c_contiguous
            assert action.flags.writeable
        for action in actions:  # changing one action changes nothing else
            action[...] = 0.0
        np.testing.assert_array_equal(outputs, before)


@pytest.mark.parametrize(
    ("low", "high"),
    [(-0.1, 0.3), (0.1, 0.7), (-1e-300, 3e-301), (-MOST, MOST / 3), (SMALL, 3 * SMALL), (0.7, 0.7)],
)
def test_ends_of_a_box_are_reached_and_not_passed(low, high):
    """In float64, scaling would miss the ends of many Boxes by a unit in the last place."""
    face = interface(spaces.Box(low, high, (1,), np.float64))
    bottom, top = (float(action[0]) for action in face.actions(np.array([[-1.0], [1.0]])))
    assert low <= bottom <= np.nextafter(np.nextafter(low, np.inf), np.inf)
    assert np.nextafter(np.nextafter(high, -np.inf), -np.inf) <= top <= high


@pytest.mark.skipif(np.finfo(np.longdouble).bits == 64, reason="there is no wider float")
def test_a_box_of_wider_floats_has_its_actions_inside():
    third = np.longdouble(1) / 3
    space = spaces.Box(-third, np.longdouble("1e400"), (1,), np.longdouble)
    for action in interface(space).actions(np.array([[-1.0], [-1e99], [1e99]])):
        assert action.dtype == np.longdouble
        assert space.contains(action)
    with pytest.raises(ValueError, match="Words: wanted limits of actions that float64 can hold"):
        interface(spaces.Box(third, third, (1,), np.longdouble))


@settings(max_examples=100, deadline=None)
@given(
    n=st.integers(1, 12),
    start=st.integers(-(2**63), 2**63 - 13),
    outputs=st.data(),
)
@example(n=3, start=2**53 + 1, outputs=None)
def test_every_discrete_action_is_in_its_space_and_like_a_sample(n, start, outputs):
    space = spaces.Discrete(n, start=start)
    face = interface(space)
    assert face.output_size == n
    rows = np.eye(n)
    if outputs is not None:
        rows = outputs.draw(arrays_of.arrays(np.float64, (2, n), elements=OUTPUTS))
    for again in (face, Interface.from_state(face.to_state())):
        actions = again.actions(rows)
        assert all(is_like_a_sample(action, space) for action in actions)
        assert [int(action) - start for action in actions] == rows.argmax(axis=1).tolist()


def discrete(n, start, dtype):
    try:
        return spaces.Discrete(n, start=start, dtype=dtype)
    except TypeError:  # an older Gymnasium has int64 alone
        pytest.skip("no dtype")


@pytest.mark.parametrize(
    ("n", "start", "dtype"),
    [(5, 250, np.uint8), (100, -100, np.int8), (2, 2**64 - 2, np.uint64), (3, 7, np.int32)],
)
def test_discrete_actions_have_the_dtype_of_their_space(n, start, dtype):
    space = discrete(n, start, dtype)
    face = interface(space)
    for again in (face, Interface.from_state(face.to_state())):
        actions = again.actions(np.eye(n))
        assert all(is_like_a_sample(action, space) for action in actions)
        assert list(map(int, actions)) == list(range(start, start + n))


def test_discrete_actions_that_their_dtype_cannot_hold_are_refused():
    with pytest.raises(ValueError, match="Words: wanted actions that int8 can hold, got Discrete"):
        interface(discrete(100, 100, np.int8))


@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("high", [2.0, np.inf])
def test_a_box_has_no_action_for_nan(scaled, high):
    face = interface(spaces.Box(-2.0, high, (2,)), scaled)
    with pytest.raises(ValueError, match="action: wanted numbers, got NaN from the network"):
        face.actions(np.array([[0.0, 1.0], [np.nan, 0.0]]))


@pytest.mark.parametrize("which", ["observation", "action"])
def test_spaces_without_a_number_are_refused(which):
    empty = spaces.Box(-1.0, 1.0, (2, 0))
    wanted = f"Words: wanted {which}s of at least one number.*, got Box"
    with pytest.raises(ValueError, match=wanted):
        if which == "action":
            interface(empty)
        else:
            interface(spaces.Discrete(2), observation=empty)


def test_spaces_that_are_missing_or_of_another_package_are_named():
    class Box:
        def __repr__(self):
            return "Box(4,)"

    env = envs.Words(spaces.Discrete(2))
    env.observation_space = Box()
    with pytest.raises(
        ValueError, match=rf"MultiBinary observations, got Box\(4,\) of {__name__};"
    ):
        Interface.of(env, "Words", True)
    del env.observation_space
    with pytest.raises(ValueError, match="MultiBinary observations, got None;"):
        Interface.of(env, "Words", True)


def test_a_space_may_change_its_ends_afterwards():
    space = spaces.Box(-2.0, 2.0, (1,), np.float64)
    face = interface(space)
    space.high[:] = 0.5
    assert face.actions(np.array([[1.0]]))[0] == 2.0


def test_a_policy_keeps_to_the_box_of_another_environment():
    own = interface(spaces.Box(-2.0, 2.0, (1,), np.float32))
    other = spaces.Box(-0.1, 1.0, (1, 1), np.float64)
    actions = own.within(interface(other)).actions(np.array([[-1.0], [0.25], [1.0]]))
    np.testing.assert_array_equal(np.ravel(actions), [-0.1, 0.5, 1.0])
    assert all(is_like_a_sample(action, other) for action in actions)
    unscaled = interface(spaces.Box(0.0, 1.0, (1,), np.float32), scaled=False)
    apart = spaces.Box(2.0, 3.0, (1,), np.float32)
    assert unscaled.within(interface(apart)).actions(np.array([[0.5]]))[0] == 2.0
    same = own.within(own).actions(np.array([[-1.0], [0.3], [1.0]]))
    np.testing.assert_array_equal(same, own.actions(np.array([[-1.0], [0.3], [1.0]])))


def test_an_image_is_a_vector():
    face = interface(spaces.Discrete(2), observation=spaces.Box(0, 255, (4, 3, 3), np.uint8))
    assert face.observation_size == 36


@pytest.mark.parametrize("action", [spaces.Dict({}), spaces.Tuple([]), spaces.Text(3), None])
def test_other_actions_are_refused_with_a_hint_that_helps(action):
    env = envs.Words(spaces.Discrete(2))
    env.action_space = action
    wanted = (
        "Words: wanted Box, Discrete, MultiDiscrete or MultiBinary actions, got .*TransformAction"
    )
    with pytest.raises(ValueError, match=wanted) as caught:
        Interface.of(env, "Words", True)
    assert "FlattenObservation" not in str(caught.value)


PICTURE = spaces.Box(0, 255, (96, 96, 3), np.uint8)
NODES = spaces.Box(0, 1, (2,))


@pytest.mark.parametrize(
    ("space", "hint"),
    [
        (spaces.Text(5), "FlattenObservation"),
        (spaces.Sequence(NODES), "pad it to a Box"),
        (spaces.Graph(NODES, None), "a Box of features"),
        (spaces.OneOf([NODES, NODES]), "TransformObservation"),
        (PICTURE, "GrayscaleObservation and ResizeObservation.*FlattenObservation"),
        (spaces.Box(0, 255, (4, 84, 84), np.uint8), "ResizeObservation"),
    ],
    ids=lambda given: type(given).__name__,
)
@pytest.mark.parametrize("inside", [False, True])
def test_other_observations_are_refused_with_a_hint_that_helps(space, hint, inside):
    at = ""
    if inside:
        at, space = r" at \['a'\]\[0\]", spaces.Dict({"a": spaces.Tuple([space, NODES])})
        if hint == "FlattenObservation":  # text is left out
            assert interface(spaces.Discrete(2), observation=space).observation_size == 2
            return
    with pytest.raises(ValueError, match=f"Words: wanted .* got .*{at}; .*{hint}") as caught:
        interface(spaces.Discrete(2), observation=space)
    helps = "FlattenObservation" in hint or "images" in str(caught.value)
    assert helps or "FlattenObservation" not in str(caught.value)


@pytest.mark.parametrize(
    ("space", "size"),
    [
        (PICTURE, 96 * 96 * 3),
        (spaces.Text(5), 5),
        (spaces.Dict({"a": PICTURE, "b": NODES}), 96 * 96 * 3 + 2),
    ],
    ids=["picture", "text", "parts"],
)
def test_what_the_hint_names_helps(space, size):
    env = envs.Words(spaces.Discrete(2))
    env.observation_space = space
    with pytest.raises(ValueError, match="FlattenObservation"):
        Interface.of(env, "Words", True)
    flat = gymnasium.wrappers.FlattenObservation(env)
    assert Interface.of(flat, "Words", True).observation_size == size
    if isinstance(space, spaces.Dict):
        with pytest.raises(ValueError, match="FilterObservation removes parts of a Dict"):
            Interface.of(env, "Words", True)
        left = gymnasium.wrappers.FilterObservation(env, ["b"])
        assert Interface.of(left, "Words", True).observation_size == 2


def test_observations_of_text_alone_are_refused():
    space = spaces.Dict({"a": spaces.Text(3)})
    with pytest.raises(ValueError, match="Words: wanted observations of at least one number"):
        interface(spaces.Discrete(2), observation=space)


# ---- observations of several parts --------------------------------------------------------------------------------


def leaves():
    """Draw a space that contains no other spaces."""
    sizes = arrays_of.arrays(
        np.int64, arrays_of.array_shapes(max_dims=2, max_side=3), elements=st.integers(1, 4)
    )
    return st.one_of(
        st.builds(lambda n, start: spaces.Discrete(n, start=start), st.integers(1, 5), st.integers(-9, 9)),
        sizes.map(lambda nvec: spaces.MultiDiscrete(nvec, start=nvec - 3)),
        arrays_of.array_shapes(max_dims=2, max_side=3).map(spaces.MultiBinary),
        arrays_of.array_shapes(min_dims=0, max_dims=2, max_side=3).map(lambda shape: spaces.Box(-2, 2, shape)),
        st.just(spaces.Box(0, 255, (2, 3), np.uint8)),
    )  # fmt: skip


def nested(inner):
    names = st.lists(st.sampled_from("zbaQ"), min_size=1, max_size=3, unique=True)
    return st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(spaces.Tuple),
        names.flatmap(
            lambda keys: st.lists(inner, min_size=len(keys), max_size=len(keys)).map(
                lambda parts: spaces.Dict(dict(zip(keys, parts, strict=True)))
            )
        ),
    )


@settings(max_examples=50, deadline=None)
@given(space=st.recursive(leaves(), nested, max_leaves=5), seed=st.integers(0, 99))
def test_observations_are_flattened_as_gymnasium_does(space, seed):
    face = interface(spaces.Discrete(2), observation=space)
    assert face.observation_size == spaces.utils.flatdim(space)
    space.seed(seed)
    for again in (face, Interface.from_state(face.to_state())):
        for _ in range(3):
            given_ = space.sample()
            np.testing.assert_array_equal(
                again.observation(given_), spaces.utils.flatten(space, given_)
            )


def test_text_among_other_parts_is_left_out():
    space = spaces.Dict(
        {"seen": NODES, "task": spaces.Text(9), "a": spaces.Tuple([spaces.Text(3), NODES])}
    )
    face = interface(spaces.Discrete(2), observation=space)
    seen = {"seen": [0.25, 0.5], "task": "go", "a": ("x", np.array([1.0, 0.0]))}
    assert face.observation(seen).tolist() == [1.0, 0.0, 0.25, 0.5]
    assert face.observations.left_out() == ["['a'][0]", "['task']"]


CARDS = spaces.Dict(
    {
        "hand": spaces.Discrete(3, start=1),
        "pair": spaces.Tuple([spaces.MultiDiscrete([2, 2]), NODES]),
    }
)
GOOD = {"hand": 1, "pair": ([0, 1], [0.0, 0.0])}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"hand": 0}, r"observation\['hand'\]: wanted whole numbers from \[1\] to \[3\], got 0"),
        ({"hand": 4}, "got 4"),
        ({"hand": 1.5}, "got 1.5"),
        ({"hand": np.nan}, "got nan"),
        ({"hand": "one"}, r"observation\['hand'\]: wanted numbers, got 'one'"),
        ({"hand": [1, 2]}, "wanted whole numbers"),
        ({"pair": ([0, 2], [0, 0])}, r"observation\['pair'\]\[0\]: wanted whole numbers"),
        ({"pair": ([0, 1], [0, 0, 0])}, r"observation\['pair'\]\[1\]: wanted 2 numbers, got shape \(3,\)"),
        ({"pair": ([0, 1],)}, r"observation\['pair'\]: wanted a tuple of 2"),
        ({"pair": 3}, "wanted a tuple of 2 parts, got 3"),
    ],
)  # fmt: skip
def test_an_observation_that_is_not_of_its_space_is_named(changed, message):
    face = interface(spaces.Discrete(2), observation=CARDS)
    assert face.observation(GOOD).tolist() == [1, 0, 0, 1, 0, 0, 1, 0, 0]
    with pytest.raises((ValueError, TypeError), match=message):
        face.observation(GOOD | changed)
    with pytest.raises(
        TypeError, match="observation: wanted a dict with the keys hand, pair, got 3"
    ):
        face.observation(3)


def test_choices_far_from_zero_are_distinguished():
    face = interface(spaces.Discrete(2), observation=spaces.Discrete(3, start=2**60))
    assert face.observation(np.int64(2**60 + 1)).tolist() == [0, 1, 0]


# ---- actions of whole numbers -------------------------------------------------------------------------------------


@st.composite
def whole_spaces(draw):
    """Draw any MultiDiscrete, MultiBinary or Box of whole numbers."""
    shape = draw(arrays_of.array_shapes(min_dims=1, max_dims=2, max_side=3))
    kind = draw(st.sampled_from(["discrete", "binary", "box"]))
    if kind == "binary":
        return spaces.MultiBinary(shape)
    if kind == "discrete":
        nvec = draw(arrays_of.arrays(np.int64, shape, elements=st.integers(1, 5)))
        start = draw(st.sampled_from([0, -7, 2**62]))
        return spaces.MultiDiscrete(nvec, start=np.full(shape, start))
    dtype = np.dtype(
        draw(st.sampled_from([np.int8, np.uint8, np.int16, np.uint32, np.int64, np.uint64]))
    )
    info = np.iinfo(dtype)
    ends = st.sampled_from([int(info.min), int(info.max), 0, 5, 100]) | st.integers(
        int(info.min), int(info.max)
    )
    one, other = draw(ends), draw(ends)
    low, high = min(one, other), max(one, other)
    low = -np.inf if info.min and draw(st.integers(0, 3)) == 0 else low
    high = np.inf if info.min and draw(st.integers(0, 3)) == 0 else high
    return spaces.Box(low, high, shape, dtype)


@settings(max_examples=80, deadline=None)
@given(space=whole_spaces(), scaled=st.booleans(), data=st.data())
def test_every_action_of_whole_numbers_is_in_its_space_and_like_a_sample(space, scaled, data):
    try:
        face = interface(space, scaled)
    except ValueError as error:  # large numbers between which there is no float64
        if "limits of actions that float64 can hold" not in str(error):
            raise
        return
    size = face.output_size
    outputs = data.draw(arrays_of.arrays(np.float64, (3, size), elements=OUTPUTS))
    outputs = np.concatenate([outputs, np.full((1, size), -1.0), np.full((1, size), 1.0)])
    for again in (face, Interface.from_state(face.to_state())):
        for action in again.actions(outputs):
            assert is_like_a_sample(action, space)
            assert action.flags.writeable


def test_each_number_of_a_multi_discrete_is_the_largest_of_its_outputs():
    face = interface(spaces.MultiDiscrete([3, 2], start=[5, -1]))
    assert face.output_size == 5
    rows = np.array([[0.0, 9.0, 1.0, 4.0, 3.0], [0.0, 0.0, 1.0, 3.0, 4.0]])
    np.testing.assert_array_equal(face.actions(rows), [[6, -1], [7, 0]])


def test_a_multi_binary_is_1_where_an_output_is_above_0():
    face = interface(spaces.MultiBinary(3))
    np.testing.assert_array_equal(face.actions(np.array([[-0.1, 0.0, 0.1]])), [[0, 0, 1]])


def test_a_box_of_whole_numbers_is_spanned_and_rounded():
    face = interface(spaces.Box(0, 10, (3,), np.int32))
    np.testing.assert_array_equal(face.actions(np.array([[-1.0, 0.04, 9.0]])), [[0, 5, 10]])
    half_open = interface(spaces.Box(-5, np.inf, (2,), np.int32))
    np.testing.assert_array_equal(half_open.actions(np.array([[-7.4, 7.6]])), [[-5, 8]])


def test_choices_of_other_numbers_are_another_action():
    own = interface(spaces.MultiDiscrete([2, 3]))
    assert own.within(interface(spaces.MultiDiscrete([2, 3], start=[4, 4]))).actions(np.eye(5))[
        0
    ].tolist() == [4, 4]
    with pytest.raises(
        ValueError, match=r"wanted an environment with \(2, 3\) choices .* got \(3, 2\)"
    ):
        own.within(interface(spaces.MultiDiscrete([3, 2])))
    with pytest.raises(
        ValueError,
        match=r"wanted an environment with MultiDiscrete actions .* got one with Discrete",
    ):
        own.within(interface(spaces.Discrete(5)))


@pytest.mark.parametrize("action", [spaces.Discrete(4), spaces.Box(-np.inf, 2.0, (3,), np.float32)])
def test_as_data_and_back(action):
    face = interface(action)
    again = Interface.from_state(face.to_state())
    outputs = np.random.default_rng(0).normal(size=(5, face.output_size))
    np.testing.assert_array_equal(face.actions(outputs), again.actions(outputs))
    assert again.observation_size == face.observation_size

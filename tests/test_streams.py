"""A stored generator must be one of NumPy's in a valid state; otherwise it is refused before anything is drawn."""

import copy
import math

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from stored_states import changed

from pepg_fast import PEPG
from pepg_fast.search import streams
from pepg_fast.storage import files

NAMES = ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")
HUGE = 2**128


def generator(kind, name):
    """Return a generator whose buffers are not empty, because it has drawn an odd number of each kind."""
    made = getattr(np.random, kind)(getattr(np.random, name)(5))
    made.standard_normal(3)
    (made.integers if kind == "Generator" else made.randint)(0, 9, 3, dtype=np.uint32)
    return made


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture(params=["Generator", "RandomState"])
def stored(request, name):
    return streams.to_state(generator(request.param, name))


def fields(state, before=""):
    """Yield the paths and values of the fields of a state."""
    for key, value in state.items():
        if isinstance(value, dict):
            yield from fields(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def refused(stored):
    with pytest.raises((ValueError, KeyError, TypeError)) as caught:
        streams.from_state(stored)
    return str(caught.value)


def test_a_generator_continues_where_it_was(stored):
    got, again = streams.from_state(stored), streams.from_state(copy.deepcopy(stored))
    np.testing.assert_equal(streams.to_state(got), stored)
    assert_array_equal(got.standard_normal(9), again.standard_normal(9))


def test_it_does_through_a_file(tmp_path, stored):
    files.save(tmp_path / "f", "rng", stored)
    got = streams.from_state(files.load(tmp_path / "f", "rng"))
    np.testing.assert_equal(streams.to_state(got), stored)


def test_numbers_of_the_other_byte_order_are_the_same(stored):
    swapped = copy.deepcopy(stored)
    for path, value in fields(stored):
        if isinstance(value, np.ndarray):
            swapped = changed(swapped, path, value.astype(value.dtype.newbyteorder()))
    np.testing.assert_equal(streams.to_state(streams.from_state(swapped)), stored)


def test_every_field_is_needed_and_no_other_is_known(stored):
    for path, _ in fields(stored):
        refused(changed(stored, path, KeyError))
    refused(changed(stored, "state.more", 1))
    refused(changed(stored, "state.state.more", 1))
    for nothing in (None, {}, [], 3, "x"):
        refused(changed(stored, "state.state", nothing))


def test_whole_numbers_are_checked_for_type_and_range(stored):
    seen = 0
    for path, value in fields(stored):
        if isinstance(value, int):
            seen += 1
            for bad in (-1, -(2**63), HUGE, 10**400, 1.0, math.nan, True, None, "1", [1], np.array(1),
                        np.float64(1)):  # fmt: skip
                assert path.rpartition("state.")[2].rpartition(".")[2] in refused(
                    changed(stored, path, bad)
                )
    assert seen or stored["state"]["bit_generator"] == "MT19937"


@pytest.mark.parametrize(
    ("name", "path", "last"),
    [
        ("MT19937", "state.state.pos", 624), ("Philox", "state.buffer_pos", 4),
        ("Philox", "state.has_uint32", 1), ("SFC64", "state.uinteger", 2**32 - 1),
        ("PCG64", "state.state.state", 2**128 - 1), ("PCG64DXSM", "state.state.inc", 2**128 - 1),
    ],
)  # fmt: skip
def test_positions_end_where_the_buffer_does(name, path, last):
    """Beyond its end, NumPy would read other memory or end the process."""
    for kind in ("Generator", "RandomState"):
        state = streams.to_state(generator(kind, name))
        for good in (last, last - last % 2 - 1 if "inc" in path else 0):
            streams.from_state(changed(state, path, good)).standard_normal(5)
        for bad in (last + 1, last + 2, 2**31, 2**62):
            if bad > last:
                assert "at most" in refused(changed(state, path, bad))


def test_arrays_have_their_type_and_length(stored):
    for path, value in fields(stored):
        if isinstance(value, np.ndarray):
            for bad in (value[:-1], value[None], value.astype(np.int64), value.astype(np.float64),
                        value.astype(np.uint16), value.tolist(), None, 3, value.astype(str)):  # fmt: skip
                assert f"wanted {len(value)} numbers of {value.dtype}" in refused(
                    changed(stored, path, bad)
                )


@pytest.mark.parametrize(
    "bad", [math.nan, math.inf, -math.inf, 1, "1", None, True, np.array(1.0), 1j]
)
@pytest.mark.parametrize("has_gauss", [0, 1])
def test_the_normal_that_is_kept_is_a_finite_float(name, bad, has_gauss):
    state = streams.to_state(generator("RandomState", name))
    assert "gauss: wanted a finite float" in refused(
        changed(changed(state, "state.has_gauss", has_gauss), "state.gauss", bad)
    )


def test_states_that_would_never_give_another_number_are_refused():
    """A RandomState of zeros, for example, would search for a normal forever."""
    for kind in ("Generator", "RandomState"):
        state = streams.to_state(generator(kind, "MT19937"))
        key = np.zeros(624, np.uint32)
        for first in (0, 2**31 - 1):  # of the first word only the highest bit counts
            key[0] = first
            assert "not all 0" in refused(changed(state, "state.state.key", key.copy()))
        key[0] = 2**31
        streams.from_state(changed(state, "state.state.key", key))
        for name in ("PCG64", "PCG64DXSM"):
            assert "odd" in refused(
                changed(streams.to_state(generator(kind, name)), "state.state.inc", 2)
            )


@pytest.mark.parametrize(
    ("path", "value"),
    [("class", "Bit"), ("class", None), ("class", changed), ("state", None), ("state", changed),
     ("state.bit_generator", "MT"), ("state.bit_generator", None), ("state.bit_generator", "Generator"),
     ("state.bit_generator", changed), ("state.bit_generator", []), ("state.bit_generator", "SFC64")],
)  # fmt: skip
def test_another_generator_is_refused(path, value):
    for name in ("MT19937", "Philox"):
        refused(changed(streams.to_state(generator("Generator", name)), path, value))


@pytest.mark.parametrize(
    ("kind", "name", "path", "value"),
    [("RandomState", "MT19937", "state.state.pos", 10**6), ("Generator", "Philox", "state.buffer_pos", -(10**6)),
     ("Generator", "PCG64", "state.has_uint32", 7)],
)  # fmt: skip
def test_a_checkpoint_with_such_a_generator_is_refused_by_name(tmp_path, kind, name, path, value):
    es = PEPG(4, 2, 0.0, 1.0, 0.1, 0.1, rng=generator(kind, name))
    es.get_parameters()
    es.save_checkpoint(tmp_path / "c")
    state = files.load(tmp_path / "c", "checkpoint")
    state["rng"]["numpy"] = changed(state["rng"]["numpy"], path, value)
    files.save(tmp_path / "c", "checkpoint", state)
    with pytest.raises(
        ValueError, match=f"c: not a usable checkpoint file: {name}.*{path.rpartition('.')[2]}"
    ):
        PEPG.load_checkpoint(tmp_path / "c")

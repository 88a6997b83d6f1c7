"""csrc/digest.h: the digest by its definition, on every instruction set and any number of threads."""

import numpy as np
import pytest
import reference

from pepg_fast import kernels

ROW, LEAF = 256, 65536  # bytes
SIZES = [0, 1, 7, 8, 9, ROW - 1, ROW, ROW + 1, 3 * ROW, LEAF - 1, LEAF, LEAF + 1, 2 * LEAF + 5]


def some_bytes(size):
    return np.random.default_rng(size).integers(0, 256, size, dtype=np.uint8)


def changed(data, index, by=1):
    other = data.copy()
    other.reshape(-1).view(np.uint8)[index] ^= by
    return other


@pytest.mark.parametrize("size", [size for size in SIZES if size < 2000])
def test_a_digest_follows_its_definition(isa, size):
    data = some_bytes(size)
    assert kernels.digest(data) == reference.digest(data.tobytes())


def test_known_answers():
    answers = {
        b"": "72a47709 15474739 9f41b01f 22799a5a",
        b"abc": "1bf8070a 518c033a adfc3e5c aa4ea1c2",
        bytes(range(256)) * 1000: "47fb921a 6e4092fb a2a07178 f6e771c4",
    }
    for data, wanted in answers.items():
        words = np.frombuffer(kernels.digest(np.frombuffer(data, np.uint8)), np.uint32)
        assert " ".join(f"{word:08x}" for word in words) == wanted


@pytest.mark.parametrize("size", SIZES)
def test_threads_and_instruction_sets_give_the_same(each_isa, teams, size):
    data = some_bytes(size)
    wanted = kernels.digest(data, 1)
    for name in each_isa:
        kernels.select_isa(name)
        for n_threads in (1, 2, 3):
            assert kernels.digest(data, n_threads) == wanted, (name, n_threads)


def test_data_may_begin_anywhere_and_have_any_dtype(isa):
    data = some_bytes(4000)
    moved = np.concatenate([np.zeros(3, np.uint8), data])[3:]
    assert kernels.digest(moved) == kernels.digest(data)
    for dtype in (np.float32, np.float64, np.int16, bool):
        assert kernels.digest(data.view(dtype)) == kernels.digest(data)
    assert kernels.digest(data.reshape(4, 10, 100)) == kernels.digest(data)


def test_every_byte_and_the_length_count():
    data = np.zeros(ROW + 40, np.uint8)
    digests = {kernels.digest(changed(data, i, by)) for i in range(data.size) for by in (1, 128)}
    digests |= {kernels.digest(data[:n]) for n in range(data.size + 1)}
    assert len(digests) == 3 * data.size + 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "values", [np.arange(20_000) % 3 - 1.0, np.where(np.arange(20_000) < 5, 2.0, 1.0)]
)
@pytest.mark.parametrize("apart", [1, 31, 32, 64, 8192, 16384])
def test_two_values_that_change_places_are_noticed(dtype, values, apart):
    data = values.astype(dtype)
    digest = kernels.digest(data)
    for i in range(0, 40):
        other = data.copy()
        other[[i, i + apart]] = other[[i + apart, i]]
        is_same = data[i] == data[i + apart]
        assert (kernels.digest(other) == digest) == is_same


def test_rows_lanes_and_leaves_that_change_places_are_noticed():
    data = np.random.default_rng(0).normal(size=(4 * LEAF // ROW, ROW // 8))
    leaves = data.reshape(4, -1, ROW // 8)
    orders = [
        data[::-1],
        data[:, ::-1],
        leaves[::-1],
        np.roll(data, 1, 0),
        np.roll(data, 2, 1),
        data,
    ]
    assert len({kernels.digest(np.ascontiguousarray(order)) for order in orders}) == len(orders)


def test_bits_of_the_digest_are_fair():
    """Each bit is set in about half of the digests, and no two digests are similar."""
    data = np.zeros(10, np.float64)
    bits = np.array([
        np.unpackbits(np.frombuffer(kernels.digest(changed(data, i % 80, 1 << i // 80)), np.uint8))
        for i in range(640)
    ])  # fmt: skip
    share = bits.mean(axis=0)
    assert abs(share - 0.5).max() < 0.1  # five standard deviations
    distances = (bits[:, None] != bits[None]).sum(axis=2)[np.triu_indices(640, 1)]
    assert distances.min() > 25
    assert distances.max() < 103


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros((4, 4))[:, ::2], "data: wanted a C-contiguous array, got strides"),
        (np.array([None]), "data: wanted an array of numbers, got dtype object"),
    ],
)
def test_values_without_a_digest(data, message):
    with pytest.raises(ValueError, match=message):
        kernels.digest(data)

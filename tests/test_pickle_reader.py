"""The reader of pickles accepts valid ones, and refuses hostile ones quickly and without much memory."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.testing import assert_equal
from opcodes import (
    CODES,
    Grammar,
    array,
    called,
    data,
    dictionary,
    dtype,
    instance,
    integer,
    named,
    program,
    reconstructed,
    several,
    text,
)
from test_legacy import LOADERS, contents

from pepg_fast.storage import pickle_reader

PROTOCOLS = range(2, pickle.HIGHEST_PROTOCOL + 1)
MiB = 2**20
MOST_SECONDS = 5  # of processor time; SECURITY.md promises one second, on an idle machine
MOST_MEMORY = 64 * MiB  # beyond the file's size
DATA = Path(__file__).parent / "data" / "pepg_es"


def read(path, admitted=frozenset()):
    return pickle_reader.read(path, admitted, "")


def written(folder, content):
    path = folder / "file"
    path.write_bytes(content)
    return path


# ---- what it takes ----------------------------------------------------------------------------

DTYPES = st.sampled_from(
    [np.dtype(code) for code in ("?", "i1", "<i4", ">i8", "u2", "f2", "<f4", "<f8", ">f8", "g")]
)
ARRAYS = npst.arrays(
    DTYPES, npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
).flatmap(lambda a: st.sampled_from([a, a.T, np.asfortranarray(a), a[..., ::2] if a.ndim else a]))
PLAIN = (
    st.none() | st.booleans() | st.integers(-(2**2000), 2**2000) | st.floats() | st.text() | st.binary()
    | st.binary(min_size=256, max_size=300)
    | ARRAYS | DTYPES.flatmap(npst.from_dtype) | DTYPES.filter(lambda dtype: dtype.char != "?")
    | st.sampled_from([np.tanh, np.add, b"", "\udfff".encode("utf-8", "replace")])
)  # fmt: skip
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.lists(inner).map(tuple),
    max_leaves=12,
)


def assert_same(got, wanted):
    """Check that values are equal and of the same types, including the bits of numbers and the dtypes of arrays."""
    if callable(wanted):
        assert got == pickle_reader.Name("numpy", wanted.__name__)
        return
    assert type(got) is type(wanted)
    if isinstance(wanted, dict):
        assert list(got) == list(wanted)
        got, wanted = list(got.values()), list(wanted.values())
    if isinstance(wanted, list | tuple):
        assert len(got) == len(wanted)
        for one, other in zip(got, wanted, strict=True):
            assert_same(one, other)
    elif isinstance(wanted, np.ndarray | np.generic):
        assert got.dtype.newbyteorder("=") == wanted.dtype.newbyteorder("=")
        assert got.shape == wanted.shape
        assert_equal(got, wanted)
        assert isinstance(wanted, np.generic) or got.flags.writeable
    else:
        assert repr(got) == repr(wanted)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(VALUES, st.sampled_from(PROTOCOLS))
def test_good_values_are_read_as_pickle_reads_them(tmp_path_factory, value, protocol):
    """The oracle is `pickle.loads`, which reads only what this test wrote."""
    dumped = pickle.dumps(value, protocol)
    path = written(tmp_path_factory.getbasetemp(), dumped)
    assert_same(read(path), pickle.loads(dumped))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_array_that_occurs_again_is_one_array(tmp_path, protocol):
    mu = np.arange(3.0)
    got = read(written(tmp_path, pickle.dumps({"mu": mu, "best_mu": mu, "all": [mu]}, protocol)))
    assert got["mu"] is got["best_mu"] is got["all"][0]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_arrays_of_one_byte_do_not_overlap(tmp_path, protocol):
    """Python has a single object for each byte, so pickles share it."""
    first, second = read(
        written(tmp_path, pickle.dumps((np.ones(1, "?"), np.ones(1, "?")), protocol))
    )
    first[0] = False
    assert second[0]


def test_bytes_that_can_be_changed(tmp_path):
    got = read(written(tmp_path, pickle.dumps([bytearray(b"ab")], 5)))
    assert_same(got, [bytearray(b"ab")])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_many_values_are_remembered_by_number(tmp_path, protocol):
    names = [str(i) for i in range(1000)]
    value = [names, names[3], names[900]]
    assert read(written(tmp_path, pickle.dumps(value, protocol))) == value


def test_bits_that_are_no_long_double_become_nan(tmp_path):
    """An x87 number without its leading one is never written by a processor."""
    if np.finfo(np.longdouble).nmant != 63:
        pytest.skip("long doubles are not x87's here")
    content = b"\1" * 7 + b"\0" + (16383).to_bytes(8, "little")
    got = read(written(tmp_path, program(array(several(b"K\x01"), dtype("f16"), data(content)))))
    assert np.isnan(got).all()


# ---- what it refuses --------------------------------------------------------------------------

ENCODE = named("_codecs", "encode")
SCALAR = named("numpy.core.multiarray", "scalar")
FROM_BUFFER = named("numpy.core.numeric", "_frombuffer")
ADAM = named("pepg.optimizers", "Adam")
MINUS = b"J\xff\xff\xff\xff"
AGAIN = b"h\x00"  # what was remembered first
ADDRESS = data(b"A" * 8)


def doubled(value, times):
    """Return a tuple of two references to such a tuple, and so on: 2**times values in a few bytes."""
    return value + b"".join(b"\x94h" + bytes([i]) + b"\x86" for i in range(times))


def in_a_checkpoint(**values):
    """Return a valid checkpoint of pepg-es with other values, given as opcodes without shared memos."""
    good = {**contents("checkpoint")}
    source = Grammar(None)
    parts = {
        name: source._written(vars(value) if name == "optimizer" else value)
        for name, value in good.items()
    }
    return program(dictionary(**parts | values))


def shared(value, times, use):
    """Return opcodes that memoize a value and make a list of many references to it."""
    return value + b"\x94](" + use * times + b"e\x86"


INTERFACE = dictionary(
    data=several(integer(0x4141414141414141), b"\x89"), shape=several(b"K\x03"), typestr=text("<f8"), version=b"K\x03",
)  # fmt: skip

# fmt: off
#: Hostile pickles by what they did or would do to a machine that runs pickles, and why they are refused.
ATTACKS = {
    # Code and memory.
    "an array of objects at an address": (
        program(
            b"(", ENCODE, b"\x94", b"N", dictionary(__defaults__=several(text("O"), text("latin1"))), b"\x86b",
            ADAM, b")\x81", dictionary(resolve=AGAIN), b"b\x94",
            reconstructed(), several(b"K\x01", several(b"K\x01"), b"h\x01", b"\x89", ADDRESS), b"b", b"t",
        ),
        "sets the state of encode",
    ),
    "an object that says where its numbers are": (
        lambda: in_a_checkpoint(best_theta=instance(__array_interface__=INTERFACE)),
        "best_theta",
    ),
    "a search that says where its numbers are": (
        lambda: in_a_checkpoint(__array_interface__=INTERFACE),
        "__array_interface__",
    ),
    "an extension code of this process": (program(b"\x82\x7e", text("touch ran"), b"\x85R"), "EXT1"),
    "a function of the system": (program(named("os", "system"), text("touch ran"), b"\x85R"), "os.system"),
    "INST": (b"\x80\x02(S'touch ran'\nios\nsystem\n.", "STRING"),
    "INST without text": (b"\x80\x02(ios\nsystem\n.", "INST"),
    "OBJ": (b"\x80\x02(cos\nsystem\n\x8c\x01xo.", "os.system"),
    "OBJ of Adam": (program(b"(", ADAM, b"o"), "OBJ"),
    "NEWOBJ_EX": (program(ADAM, b")}\x92"), "NEWOBJ_EX"),
    "an object with arguments": (program(ADAM, b"K\x01\x85\x81"), "makes an object of Adam"),
    "an object of a function": (program(named("numpy", "tanh"), b")\x81"), "makes an object of tanh"),
    "an object of an object": (program(instance(), b")\x81"), "makes an object"),
    "a call of an object": (program(instance(), b")R"), "in an unknown way"),
    "a call of Adam": (program(ADAM, b")R"), "in an unknown way"),
    "attributes of a function": (program(named("numpy", "dtype"), dictionary(x=b"N"), b"b"), "state of dtype"),
    "attributes of a class": (program(ADAM, dictionary(x=b"N"), b"b"), "state of Adam"),
    "attributes twice": (program(instance(x=b"N"), dictionary(x=b"N"), b"b"), "state of"),
    "a dtype of objects by its state": (
        program(
            dtype(),
            several(b"K\x03", text("|"), b"N", several(text("a")), dictionary(a=b"N"), MINUS, MINUS, b"K\x3f"),
            b"b",
        ),
        "state of",
    ),
    "a scalar of objects": (program(called(SCALAR, dtype("O", "|"), ADDRESS)), "array of 'O'"),
    "a reference outside": (program(text("id"), b"Q"), "BINPERSID"),
    "a reference outside in text": (b"\x80\x02Pid\n.", "PERSID"),
    "a buffer outside": (program(b"\x97"), "NEXT_BUFFER"),
    "a buffer outside that is read only": (program(data(b"x"), b"\x98"), "READONLY_BUFFER"),
    # Time without end.
    "a deep tuple as a key": (program(b"})", b"\x85" * 90_000, b"Ns"), "tuple as a key"),
    "tuples of one another as a key": (program(b"}", doubled(b")", 100), b"Ns"), "tuple as a key"),
    "tuples of one another as a number": (
        lambda: in_a_checkpoint(population_size=doubled(b")", 100)),
        "nests or repeats",
    ),
    "tuples of one another": (program(doubled(b")", 200)), "nests or repeats"),
    "a set": (program(b"\x8f(", doubled(b")", 100), b"\x90"), "EMPTY_SET"),
    "a list in itself": (program(b"]\x94", AGAIN, b"a"), "nests or repeats"),
    "a dict in itself": (program(b"}\x94", text("x"), AGAIN, b"s"), "nests or repeats"),
    "an object in itself": (
        program(ADAM, b")\x81\x94}", text("x"), AGAIN, b"sb"),
        "nests or repeats",
    ),
    "a deep list": (program(b"]" * 40_000, b"a" * 39_999), "nests or repeats"),
    "a number of a million digits": (
        program(b"\x8b", (500_000).to_bytes(4, "little"), b"\x7f" * 500_000),
        "LONG4",
    ),
    "a number in text": (b"\x80\x02I" + b"9" * 10**6 + b"\n.", "INT"),
    "a long number in text": (b"\x80\x02L" + b"9" * 10**6 + b"L\n.", "LONG"),
    "many opcodes": (program(b"(" * 100_000), "more than 100,000 opcodes"),
    "many more opcodes": (program(b"N" * 10**7), "more than 100,000 opcodes"),
    "lists of one another": (program(shared(b"](" + b"N" * 1000 + b"e", 50_000, AGAIN)), "nests or repeats"),
    # Memory without end.
    "one buffer for many arrays": (
        program(
            b"(", data(bytes(8 * MiB)), b"\x94", FROM_BUFFER, b"\x94", dtype(), b"\x94",
            (b"h\x01(h\x00h\x02" + several(integer(MiB)) + text("C") + b"tR") * 2000, b"t",
        ),
        "its own bytes",
    ),
    "one array many times": (
        program(shared(array(several(integer(MiB)), None, data(bytes(8 * MiB))), 50_000, AGAIN)),
        "nests or repeats",
    ),
    "one array many times as a number": (
        lambda: in_a_checkpoint(
            mu_lr=array(several(integer(MiB)), None, data(bytes(8 * MiB))) + b"\x94](" + AGAIN * 5 + b"e\x86"
        ),
        "mu_lr",
    ),
    "one text encoded many times": (
        program(
            text("x" * MiB), b"\x94", ENCODE, b"\x94", text("latin1"), b"\x94(",
            b"h\x01(h\x00h\x02tR" * 5_000, b"t",
        ),
        "bytes of text",
    ),
    "one text many times": (program(shared(text("x" * MiB), 50_000, AGAIN)), "nests or repeats"),
    "one text many times in an attribute": (
        lambda: in_a_checkpoint(note=shared(text("x" * MiB), 50_000, AGAIN)),
        "nests or repeats",
    ),
    "few bytes many times": (program(shared(data(bytes(200)), 50_000, AGAIN)), "nests or repeats"),
    "a search of a size of 2000 bits": (
        lambda: in_a_checkpoint(theta_size=integer(2**2000)),
        "theta_size",
    ),
    "bytes many times": (program(shared(data(bytes(MiB)), 50_000, AGAIN)), "nests or repeats"),
    "text that takes four times its bytes": (
        program(text("x" * 30 * MiB + "\U0001f600")),
        "bytes of text",
    ),
    "much text": (program(b"(", text("x" * MiB) * 30, b"t"), "bytes of text"),
    "a name without end": (b"\x80\x02c" + b"x" * 60 * MiB, "too soon"),
    **{
        f"{name} of {size}": (program(CODES[name], size.to_bytes(width, "little"), b"x"), ".")
        for name, width in {"BINBYTES8": 8, "BINUNICODE8": 8, "BYTEARRAY8": 8, "FRAME": 8, "BINBYTES": 4,
                            "BINUNICODE": 4, "LONG4": 4, "LONG_BINPUT": 4, "LONG_BINGET": 4, "EXT4": 4}.items()
        for size in (2**31 - 1, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1) if size < 2**(8 * width)
    },
    "PUT": (program(b"Np99999999\n"), "PUT"),
    "GET": (program(b"Ng99999999\n"), "GET"),
    # Damage.
    "nothing": (b"", "it is empty"),
    "one byte": (b"\x80", "too soon"),
    "a protocol of its own": (b"\x80\xffN.", "protocol"),
    "protocol 1": (b"\x80\x01N.", "protocol"),
    "the protocol again": (program(b"\x80\x04N"), "PROTO"),
    "no end": (b"\x80\x04N", "too soon"),
    "more behind the end": (program(b"NNN\x87") + b"N.", "end after one value"),
    "no value": (program(), "end after one value"),
    "two values": (program(b"NN"), "end after one value"),
    "an open mark": (program(b"N(N"), "end after one value"),
    "a tuple without a mark": (program(b"Nt"), "lacks its values"),
    "a tuple beyond a mark": (program(b"N(\x85"), "lacks its values"),
    "a value that is not remembered": (program(b"h\x00"), "lacks its values"),
    "nothing to remember": (program(b"\x94"), "lacks its values"),
    "a place in the memo that leaves one out": (program(b"Nq\x01"), "numbered"),
    "a place in the memo twice": (program(b"Nq\x00q\x00"), "numbered"),
    "a key without a value": (program(b"}(", text("x"), b"u"), "sets items"),
    "a key twice": (program(b"}(", (text("x") + b"N") * 2, b"u"), "'x' twice"),
    "a number as a key": (program(b"}K\x01Ns"), "int as a key"),
    "items of a list": (program(b"]", text("x"), b"Ns"), "sets items"),
    "appended to a dict": (program(b"}Na"), "appends"),
    "appended to an array": (program(array(), b"Na"), "appends"),
    "no characters": (program(b"\x8c\x03\xed\xa0\x80"), "utf-8"),
    "no characters in a name": (b"\x80\x02cnump\xff\ntanh\n.", "utf-8"),
    "a name of numbers": (program(b"K\x01K\x02\x93"), "name is not text"),
    "an empty array of a name": (program(named("numpy", "ndarray")), "holds a function"),
    "an array without contents": (program(reconstructed()), "without contents"),
    "contents twice": (program(array(), several(), b"b"), "state of"),
    "an array in an array": (
        program(array(None, None, reconstructed())),
        "its own bytes",
    ),
    **{
        f"an array of {name}": (program(b"(", array(*arguments), b"NNt"), reason)
        for name, arguments, reason in [
            ("negative size", (several(integer(-3)),), "shape"),
            ("two negative sizes", (several(integer(-3), integer(-1)),), "shape"),
            ("more than its bytes", (several(integer(4)),), "another size"),
            ("less than its bytes", (several(integer(2)),), "another size"),
            ("no dimensions", (several(),), "another size"),
            ("2**64 + 3 numbers", (several(integer(2**63 - 1), integer(2), integer(3)),), "another size"),
            ("no numbers of 2**124", (several(b"K\x00", integer(2**62), integer(2**62)), None, data(b"")), "."),
            ("a size of 2000 bits", (several(integer(2**2000)),), "shape"),
            ("a truth as its size", (several(b"\x88"),), "shape"),
            ("65 dimensions", (several(*[b"K\x01"] * 64, b"K\x03"),), "shape"),
            ("90,000 dimensions", (several(b"K\x01" * 90_000),), "shape"),
            ("text as its shape", (text("x"),), "state of"),
            ("a list as its shape", (b"](K\x03e",), "state of"),
            ("an array as its shape", (array(),), "state of"),
            ("no dtype", (None, b"N"), "state of"),
            ("text as its dtype", (None, text("f8")), "state of"),
            ("text as its bytes", (None, None, text("x" * 24)), "its own bytes"),
            ("a list as its bytes", (None, None, b"](K\x01K\x02K\x03e"), "its own bytes"),
            ("objects", (None, dtype("O", "|")), "array of 'O'"),
            ("records", (None, dtype("V8", "|")), "array of 'V8'"),
            ("times", (None, dtype("M8")), "array of 'M8'"),
            ("complex numbers", (None, dtype("c16")), "array of 'c16'"),
            ("text", (None, dtype("U6")), "array of 'U6'"),
            ("a dtype's text", (None, dtype("f8,O")), "array of 'f8,O'"),
            ("three-byte floats", (None, dtype("f3")), "array of 'f3'"),
            ("an absurd byte order", (None, dtype("f8", "x")), "byte order"),
            ("truths of two", (several(b"K\x01"), dtype("b1", "|"), data(b"\x02")), "bool"),
        ]
    },
    "an array whose axes are none": (
        program(called(FROM_BUFFER, data(bytes(24)), dtype(), several(b"K\x03"), text("K"), several(b"K\x05"))),
        ".",
    ),
    "an order of no kind": (
        program(called(FROM_BUFFER, data(bytes(24)), dtype(), several(b"K\x03"), text("A"))),
        "shape",
    ),
    "text that is encoded otherwise": (program(called(ENCODE, text("x"), text("rot13"))), "calls encode"),
    "text that has more than bytes": (program(called(ENCODE, text("\u20ac"), text("latin1"))), "latin-1"),
    "bytes of a number": (program(called(named("__builtin__", "bytes"), integer(2**40))), "calls bytes"),
    "a ufunc of another module": (
        program(called(named("numpy.core", "_ufunc_reconstruct"), text("os"), text("system"))),
        "os.system",
    ),
}
# fmt: on

#: A program that loads each file of its arguments as each of the three kinds, and prints one line of results per file.
CHILD = """
import copyreg, json, os, re, resource, sys, time
import numpy as np
from pepg_fast import PEPG, NeuralNetwork
copyreg._extension_cache[0x7E] = os.system
loaders = PEPG.load_checkpoint, PEPG.load_best, NeuralNetwork.load_network
def memory(name):
    return int(re.search(name + r":\\s*(\\d+)", open("/proc/self/status").read())[1]) * 1024
resource.setrlimit(resource.RLIMIT_AS, (memory("VmSize") + 2**30, -1))
for path in sys.argv[1:]:
    errors = []
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    before, start = memory("VmRSS"), time.process_time()
    for load in loaders:
        try:
            errors.append(f"loaded {type(load(path)).__name__}")
        except Exception as error:
            errors.append(f"{type(error).__name__}: {error}")
    seconds = time.process_time() - start
    print(json.dumps([errors, seconds, memory("VmHWM") - before]), flush=True)
"""


def outcomes_of(paths, folder):
    """Read each file in a process that may end at any of them, and return the results."""
    outcomes = []
    while len(outcomes) < len(paths):
        command = [sys.executable, "-c", CHILD, *map(str, paths[len(outcomes) :])]
        try:
            output = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=60
            ).stdout
            ended = "ended the process"
        except subprocess.TimeoutExpired as error:
            output, ended = (error.stdout or b"").decode(), "took more than a minute"
        outcomes += map(json.loads, output.splitlines())
        if len(outcomes) < len(paths):
            outcomes.append([[ended], 0, 0])
    return outcomes


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """Return, by the name of an attack, its file, and the messages, seconds and memory of each way to load it."""
    if not sys.platform.startswith("linux"):
        pytest.skip("the memory of a process is read from /proc")
    folder = tmp_path_factory.mktemp("attacks")
    paths = [folder / str(i) for i in range(len(ATTACKS))]
    for path, (content, _) in zip(paths, ATTACKS.values(), strict=True):
        path.write_bytes(content() if callable(content) else content)
    found = dict(zip(ATTACKS, zip(paths, outcomes_of(paths, folder), strict=True), strict=True))
    assert not (folder / "ran").exists()
    return found


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_refused(outcome, attack):
    path, (errors, seconds, memory) = outcome[attack]
    for kind, error in zip(LOADERS, errors, strict=True):
        assert error.startswith(f"ValueError: {path}: not a usable {kind} file: ")
        assert len(error) < len(str(path)) + 300
    assert any(reason_matches(ATTACKS[attack][1], error) for error in errors)
    assert seconds < MOST_SECONDS
    assert memory < path.stat().st_size + MOST_MEMORY


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it reads /proc")
def test_a_large_file_is_refused_in_little_more_than_its_size(tmp_path):
    """Its only array is read once, directly into the memory where it stays."""
    size = pickle_reader.MOST_BYTES - 1000
    start = b"\x80\x05" + FROM_BUFFER + b"(\x96" + size.to_bytes(8, "little")
    path = written(tmp_path, start)
    with open(path, "r+b") as file:
        file.seek(len(start) + size)  # nothing is written there
        file.write(dtype() + several(integer(size // 8)) + text("C") + b"tR" + b"\x8f.")
    [(errors, seconds, memory)] = outcomes_of([path], tmp_path)
    assert all("EMPTY_SET" in error for error in errors)
    assert seconds < 3 * MOST_SECONDS
    assert memory < path.stat().st_size + MOST_MEMORY


def reason_matches(reason, error):
    return reason == "." or reason in error


# ---- what a grammar makes ---------------------------------------------------------------------


class Drawn:
    """The decisions of a grammar, from hypothesis."""

    def __init__(self, data):
        self._draw = data.draw

    def integer(self, low, high):
        return self._draw(st.integers(low, high))

    def pick(self, options):
        return self._draw(st.sampled_from(options))

    def content(self, size):
        return self._draw(st.binary(min_size=size, max_size=size))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data(), st.sampled_from(list(LOADERS)))
def test_whatever_a_grammar_makes_is_refused_or_loads(tmp_path_factory, data, kind):
    """The target `pickle` of tests/reliability/fuzz.py does this for longer."""
    path = written(tmp_path_factory.getbasetemp(), Grammar(Drawn(data)).program(contents(kind)))
    for load in LOADERS.values():
        try:
            load(path)
        except ValueError as error:
            assert str(error).startswith(f"{path}: not a ")  # noqa: PT017


@pytest.mark.parametrize("code", range(256))
def test_each_opcode_without_values(tmp_path, code):
    """The bytes after it are opcodes and lengths."""
    for content in (b"", b".", b"\0" * 9 + b".", b"\1N.", b"NNNN."):
        path = written(tmp_path, b"\x80\x04" + bytes([code]) + content)
        try:
            read(path)
        except ValueError as error:
            assert len(str(error)) < 300  # noqa: PT017

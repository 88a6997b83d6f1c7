"""Pickles built by hand from opcodes, and a grammar that writes valid and invalid pickles.

The decisions of the grammar come from an object with `integer(low, high)`, `pick(options)` and `content(size)`: from
hypothesis in the suite, from atheris in the long run.
"""

import pickle
import pickletools
import struct

import numpy as np

CODES = {opcode.name: opcode.code.encode("latin-1") for opcode in pickletools.opcodes}


def text(value):
    """Push text."""
    data = value.encode("utf-8", "surrogatepass")
    if len(data) < 256:
        return b"\x8c" + bytes([len(data)]) + data
    return b"X" + len(data).to_bytes(4, "little") + data


def integer(value):
    """Push a whole number."""
    data = value.to_bytes((value.bit_length() + 8) // 8, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def data(content):
    """Push bytes."""
    return b"B" + len(content).to_bytes(4, "little") + content


def named(module, name):
    """Push a class or function."""
    return text(module) + text(name) + b"\x93"


def several(*values):
    """Push a tuple."""
    return b"(" + b"".join(values) + b"t"


def dictionary(**values):
    """Push a dict."""
    return b"}(" + b"".join(text(key) + value for key, value in values.items()) + b"u"


def called(function, *arguments):
    """Push the result of a call."""
    return function + several(*arguments) + b"R"


def dtype(code="f8", order="<"):
    """Push a dtype of numbers."""
    made = called(named("numpy", "dtype"), text(code), b"\x89", b"\x88")
    minus = b"J\xff\xff\xff\xff"
    return made + several(b"K\x03", text(order), b"N", b"N", b"N", minus, minus, b"K\x00") + b"b"


def reconstructed(core="core"):
    """Push an array without contents."""
    nothing = several(b"K\x00")
    function = named(f"numpy.{core}.multiarray", "_reconstruct")
    return called(function, named("numpy", "ndarray"), nothing, data(b"b"))


def array(shape=None, code=None, content=None, fortran=b"\x89"):
    """Push an array; each argument is opcodes."""
    shape = several(b"K\x03") if shape is None else shape
    content = data(struct.pack("<3d", 1, 2, 3)) if content is None else content
    state = several(b"K\x01", shape, dtype() if code is None else code, fortran, content)
    return reconstructed() + state + b"b"


def instance(**attributes):
    """Push an `Adam` with these attributes."""
    return named("pepg.optimizers", "Adam") + b")\x81" + dictionary(**attributes) + b"b"


def program(*opcodes):
    """Complete a pickle."""
    return b"\x80\x04" + b"".join(opcodes) + b"."


# ---- the grammar ------------------------------------------------------------------------------

WORDS = (
    "mu", "sigma", "theta", "epsilon", "best_theta", "best_mu", "best_fitness", "step", "optimizer", "mu_lr", "alpha",
    "m", "v", "t", "hidden_sizes", "input_size", "_weights", "hidden_activation", "bias", "update",
    "__array_interface__", "__class__", "__dict__", "note", "latin1", "C", "F", "K", "<", ">", "|",
    "f8", "O", "numpy", "tanh", "\0", "",
)  # fmt: skip
NAMES = (
    ("numpy", "dtype"), ("numpy", "ndarray"), ("numpy", "tanh"), ("numpy.core", "_ufunc_reconstruct"),
    ("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "scalar"),
    ("numpy.core.numeric", "_frombuffer"), ("_codecs", "encode"), ("__builtin__", "bytes"), ("pepg.nn", "sigmoid"),
    ("pepg.optimizers", "Adam"), ("os", "system"), ("numpy", "fromfile"),
)  # fmt: skip
CODES_OF_DTYPES = (
    "b1",
    "i1",
    "u2",
    "i4",
    "i8",
    "f2",
    "f4",
    "f8",
    "f16",
    "O",
    "U3",
    "c16",
    "M8",
    "f3",
)


class Grammar:
    """A grammar of the pickles that pepg-es writes, with occasional faults."""

    def __init__(self, source):
        self._source = source
        self._memoized = 0
        self._left = 300  # opcodes, about

    def program(self, contents):
        """Write a pickle of `contents` (a value of pepg-es), of the same with some items replaced, or of any value."""
        body = self._like(contents) if self._source.pick((True, False)) else self.value()
        faults = [b""] * 6 + [b".", b"0", b"N", b"\x80\x04"]
        return b"\x80\x04" + body + self._source.pick(faults) + b"."

    def _like(self, value):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        changed = self._source.integer(0, len(value) - 1)
        parts = []
        for i, (key, item) in enumerate(items):
            plain = item.__dict__ if hasattr(item, "alpha") else item
            written = self.value() if i == changed else self._written(plain)
            parts.append((text(key) if isinstance(value, dict) else b"") + written)
        return (
            (b"}(" if isinstance(value, dict) else b"(")
            + b"".join(parts)
            + (b"u" if isinstance(value, dict) else b"t")
        )

    def _written(self, value):
        """Return a value as a pickler writes it, without memo and frames."""
        if isinstance(value, dict):  # an optimizer's
            return instance(**{key: self._written(item) for key, item in value.items()})
        if callable(value):
            return named("pepg.nn", "tanh")
        if isinstance(value, np.ndarray):
            shape = several(*map(integer, value.shape))
            return array(shape, dtype(value.dtype.str[1:]), data(value.tobytes()))
        if isinstance(value, np.generic):
            function = named("numpy._core.multiarray", "scalar")
            return called(function, dtype(value.dtype.str[1:]), data(value.tobytes()))
        return pickle.dumps(value, 2)[2:-1].replace(b"q\x00", b"")  # an empty list is memoized

    def value(self, depth=0):
        """Write any value."""
        self._left -= 1
        if depth > 6 or self._left < 0:
            return b"N"
        write = self._source.pick(
            (self._plain, self._plain, self._list, self._tuple, self._dict, self._array, self._buffer, self._scalar,
             self._dtype, self._name, self._instance, self._again, self._call, self._encode, self._any_opcode)
        )  # fmt: skip
        written = write(depth + 1)
        if self._source.integer(0, 3) == 0:
            self._memoized += 1
            written += b"\x94"
        return written

    def _or_other(self, right, depth):
        """Return the value that belongs here, or occasionally another one."""
        return self.value(depth) if self._source.integer(0, 9) == 0 else right

    def _plain(self, depth):
        source = self._source
        number = source.integer(-(2**70), 2**70)
        return source.pick(
            (b"N", b"\x88", b"\x89", b"K\x03", b"K\x14", integer(number), text(source.pick(WORDS)),
             b"G" + source.content(8), data(source.content(source.integer(0, 30))),
             b"\x96" + (8).to_bytes(8, "little") + source.content(8))
        )  # fmt: skip

    def _values(self, depth):
        return [self.value(depth) for _ in range(self._source.integer(0, 4))]

    def _list(self, depth):
        return b"](" + b"".join(self._values(depth)) + b"e"

    def _tuple(self, depth):
        return several(*self._values(depth))

    def _dict(self, depth):
        keys = [self._or_other(text(self._source.pick(WORDS)), depth) for _ in range(3)]
        return b"}(" + b"".join(key + self.value(depth) for key in keys) + b"u"

    def _shape(self, depth):
        sizes = [self._source.pick((0, 1, 2, 3, -1, 2**40, 2**62)) for _ in range(2)]
        return self._or_other(several(*map(integer, sizes[: self._source.integer(0, 2)])), depth)

    def _dtype(self, depth):
        code, order = (
            self._source.pick(CODES_OF_DTYPES),
            self._source.pick(("<", ">", "=", "|", "x")),
        )
        return self._or_other(dtype(code, order), depth)

    def _content(self, depth):
        return self._or_other(data(self._source.content(8 * self._source.integer(0, 6))), depth)

    def _array(self, depth):
        shape, code = self._shape(depth), self._dtype(depth)
        return array(shape, code, self._content(depth), self._source.pick((b"\x88", b"\x89", b"N")))

    def _buffer(self, depth):
        function = named("numpy.core.numeric", "_frombuffer")
        order = self._or_other(text(self._source.pick(("C", "F", "K"))), depth)
        return called(function, self._content(depth), self._dtype(depth), self._shape(depth), order)

    def _scalar(self, depth):
        function = named("numpy.core.multiarray", "scalar")
        return called(function, self._dtype(depth), self._content(depth))

    def _name(self, depth):
        return named(*self._source.pick(NAMES))

    def _instance(self, depth):
        kind = self._or_other(named("pepg.optimizers", "Adam"), depth)
        return (
            kind
            + self._or_other(b")", depth)
            + b"\x81"
            + self._or_other(self._dict(depth), depth)
            + b"b"
        )

    def _again(self, depth):
        return b"h" + bytes([self._source.integer(0, max(self._memoized, 1))])

    def _call(self, depth):
        return self._or_other(self._name(depth), depth) + self._tuple(depth) + b"R"

    def _encode(self, depth):
        return called(named("_codecs", "encode"), text("\x01\xff" * 4), text("latin1"))

    def _any_opcode(self, depth):
        code = self._source.pick(tuple(CODES.values()))
        return code + self._source.content(self._source.integer(0, 9))

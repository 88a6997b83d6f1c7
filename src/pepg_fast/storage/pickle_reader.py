"""A reader of pickles that runs nothing: pickles as data.

A pickle is a program for a small stack machine. The machine below knows the opcodes and names in the files of pepg-es
0.0.4 and 0.0.5 (CPython 3.6 to 3.13, NumPy 1 and 2), and refuses everything else. It makes numbers, text, lists,
tuples, dicts with text as keys, and arrays of numbers. A class or function remains a name: nothing that a file names is
imported or called, no attribute is set, and only text is hashed.

A file cannot take more time or memory than is reasonable for its size. Each array is read directly into its final
memory (`pickletools.genops` would keep a second copy). There are limits for the contents of the file, and for the size
of the result, in which repeated values count each time.
"""

import io
import math
import os
import pickle  # its names of the opcodes
import pickletools  # likewise, for messages
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._types import Array, DType, FileName
from . import files

MOST_BYTES = 256 * 2**20  # size of a file
MOST_OPCODES = 100_000
MOST_VALUES = MOST_OPCODES
MOST_TEXT = 4 * 2**20  # bytes of text, and of bytes that do not belong to an array
MOST_REPEATED = 64 * 2**20  # bytes of repeated arrays, such as mu in the best_mu of pepg-es
MOST_DEPTH = 50
_SHORT = 255  # up to this many bytes are copied without counting them

#: dtypes of plain numbers.
_NUMBERS = frozenset(
    ["b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "f12", "f16"]
)
#: Functions that pickles of arrays, scalars, dtypes, ufuncs and bytes name. NumPy 2 writes numpy._core for numpy.core.
_FUNCTIONS = {
    ("numpy", "dtype"), ("numpy", "ndarray"), ("numpy.core", "_ufunc_reconstruct"),
    ("numpy.core.multiarray", "_reconstruct"), ("numpy.core.multiarray", "scalar"),
    ("numpy.core.numeric", "_frombuffer"), ("_codecs", "encode"), ("__builtin__", "bytes"),
}  # fmt: skip
#: Modules that different versions of NumPy name for their ufuncs.
_UFUNC_MODULES = {"numpy", "numpy.core.umath", "numpy.core._multiarray_umath"}
_PEPG = {
    (module, name)
    for name, place in (("sigmoid", "nn"), ("tanh", "nn"), ("Adam", "optimizers"))
    for module in ("pepg", f"pepg.{place}")
}


@dataclass(frozen=True)
class Name:
    """A class or function that a file names, of origin "numpy", "pepg", or "caller" if the caller passed it."""

    origin: str
    name: str


@dataclass(eq=False, repr=False)
class Instance:
    """An object that a file describes: the name of its class, and its attributes."""

    kind: Name
    attributes: Any = None


@dataclass(frozen=True)
class _Function:
    """One of `_FUNCTIONS`."""

    name: str


@dataclass(eq=False)
class _DType:
    """A dtype; its byte order follows later in the file."""

    dtype: DType


@dataclass(eq=False)
class _Array:
    """An array; its contents follow later in the file."""

    array: Array | None = None


@dataclass(eq=False)
class _Bytes:
    """Bytes of type `kind`, in memory that one array may use."""

    memory: NDArray[np.uint8]
    kind: type
    is_taken: bool = False

    @classmethod
    def of(cls, data: bytes) -> "_Bytes":
        return cls(np.array(bytearray(data), np.uint8), bytes)


def read(filename: FileName, admitted: frozenset[str], hint: str) -> Any:
    """Read the value that a pickle holds; ValueError if it is damaged, or has contents that pepg-es never writes.

    `admitted` has the qualified names of callables that the caller passed; `hint` names the arguments for more.
    """
    with files.opened(filename) as file:
        size = os.fstat(file.fileno()).st_size
        if size > MOST_BYTES:
            raise ValueError(f"it has {size:,} bytes, wanted a pickle of at most {MOST_BYTES:,}")
        try:
            return _Machine(file, size, admitted, hint).run()
        except IndexError as error:
            raise ValueError("the pickle is damaged: an opcode lacks its values") from error


class _Machine:
    """Runs the opcodes of one file; the table `_OPCODES` has a method for each."""

    def __init__(
        self, file: io.BufferedReader, size: int, admitted: frozenset[str], hint: str
    ) -> None:
        self._file = file
        self._bytes_left = size
        self._text_left = MOST_TEXT
        self._admitted = admitted
        self._hint = hint
        self._stack: list[Any] = []
        self._below_marks: list[list[Any]] = []
        self._memo: list[Any] = []

    def run(self) -> Any:
        if self.take(1) != pickle.PROTO or self.unsigned(1) not in (2, 3, 4, 5):
            raise ValueError("wanted a pickle of protocol 2 to 5")
        for _ in range(MOST_OPCODES):
            code = self.take(1)
            if code == pickle.STOP:
                if len(self._stack) != 1 or self._below_marks or self._bytes_left:
                    raise ValueError("the pickle is damaged: it does not end after one value")
                return _Result().of(self._stack[0])
            if code not in _OPCODES:
                names = [op.name for op in pickletools.opcodes if op.code.encode("latin-1") == code]
                raise _Refused(f"has the opcode {names[0] if names else code!r}")
            _OPCODES[code](self)
        raise ValueError(f"the pickle has more than {MOST_OPCODES:,} opcodes")

    # ---- reading: a length is compared with the rest of the file before memory is allocated

    def take(self, size: int) -> bytes:
        self._spend(size)
        data = self._file.read(size)
        self._need(len(data) == size)
        return data

    def unsigned(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def signed(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little", signed=True)

    def real(self) -> float:
        (number,) = struct.unpack(">d", self.take(8))
        return float(number)

    def text(self, size: int) -> str:
        self._spend_text(size)
        return self.take(size).decode()

    def line(self) -> str:
        line = self._file.readline(256)
        self._spend(len(line))
        self._need(line.endswith(b"\n"))
        return line[:-1].decode()

    def bytes_of(self, kind: type, size: int) -> _Bytes:
        self._spend(size)
        memory = np.empty(size, np.uint8)
        self._need(self._file.readinto(memory.data) == size)
        return _Bytes(memory, kind)

    def skip_frame(self) -> None:
        """Skip a frame, which only says how much may be read at once."""
        self._need(self.unsigned(8) <= self._bytes_left)

    def _spend(self, size: int) -> None:
        self._bytes_left -= size
        self._need(self._bytes_left >= 0)

    def _need(self, is_there: bool) -> None:
        if not is_there:
            raise ValueError("the pickle is damaged: it ends too soon")

    def _spend_text(self, size: int) -> None:
        self._text_left -= size
        if self._text_left < 0:
            raise ValueError(f"the pickle has more than {MOST_TEXT:,} bytes of text")

    # ---- the stack, and repeated values

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def pop(self, count: int) -> list[Any]:
        return [self._stack.pop() for _ in range(count)][::-1]

    def mark(self) -> None:
        self._below_marks.append(self._stack)
        self._stack = []

    def pop_to_mark(self) -> list[Any]:
        items, self._stack = self._stack, self._below_marks.pop()
        return items

    def memoize(self, index: int | None = None) -> None:
        """Remember the value on top; writers of pickles number them from 0 without gaps."""
        if index not in (None, len(self._memo)):
            raise ValueError("the pickle is damaged: its values are not numbered in order")
        self._memo.append(self._stack[-1])

    def recall(self, index: int) -> None:
        self._stack.append(self._memo[index])

    # ---- containers

    def append(self, items: list[Any]) -> None:
        if type(self._stack[-1]) is not list:
            raise ValueError("the pickle is damaged: it appends to something that is not a list")
        self._stack[-1].extend(items)

    def set_items(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not dict or len(items) % 2:
            raise ValueError("the pickle is damaged: it sets items of something that is not a dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(key) is not str:
                raise ValueError(f"it holds a dict with a {type(key).__name__} as a key, not text")
            if key in target:
                raise ValueError(f"it holds a dict with the key {key[:50]!r} twice")
            target[key] = value

    # ---- classes and functions: names, and the results of NumPy's own functions

    def named(self, module: Any, name: Any) -> Name | _Function:
        if not (type(module) is str and type(name) is str):
            raise ValueError("the pickle is damaged: a name is not text")
        place = module
        if f"{module}.".startswith("numpy._core."):
            place = module.replace("numpy._core", "numpy.core", 1)
        if (place, name) in _FUNCTIONS:
            return _Function(name)
        if place in _UFUNC_MODULES and isinstance(vars(np).get(name), np.ufunc):
            return Name("numpy", name)
        if (module, name) in _PEPG:
            return Name("pepg", name)
        if name in self._admitted:
            return Name("caller", name)
        raise _Refused(
            f"names {module[:50]}.{name[:50]}",
            f"; if that is yours, pass it as {self._hint}" if self._hint else "",
        )

    def called(self, function: Any, arguments: Any) -> Any:
        match function, arguments:
            case _Function("_reconstruct"), (_Function("ndarray"), tuple(), _):
                return _Array()
            case _Function("_frombuffer"), (data, _DType(dtype), tuple(shape), str(order)):
                return _array(data, dtype, shape, order)
            case _Function("_frombuffer"), (data, _DType(dtype), tuple(shape), str(), tuple(axes)):
                return _array(data, dtype, shape, "C").transpose(axes)
            case _Function("scalar"), (_DType(dtype), data):
                return _array(data, dtype, (), "C")[()]
            case _Function("dtype"), (str(code), *_):
                if code not in _NUMBERS:
                    raise ValueError(f"the pickle holds an array of {code[:20]!r}, not of numbers")
                return _DType(np.dtype(code))
            case _Function("_ufunc_reconstruct"), (module, name):
                return self.named(module, name)
            case _Function("encode"), (str(text), str(encoding)) if encoding == "latin1":
                self._spend_text(len(text))
                data = text.encode("latin-1")
                return data if len(data) <= _SHORT else _Bytes.of(data)
            case _Function("bytes"), ():
                return b""
        raise _Refused(f"calls {_shown(function)} in an unknown way")

    def instance(self, kind: Any, arguments: Any) -> Instance:
        match kind, arguments:
            case Name("caller") | Name("pepg", "Adam"), ():
                return Instance(kind)
        raise _Refused(f"makes an object of {_shown(kind)} in an unknown way")

    def build(self, state: Any) -> None:
        """Complete the array, dtype or object on the stack."""
        match self._stack[-1], state:
            case _Array(None) as box, (int(), tuple(shape), _DType(dtype), bool(is_fortran), data):
                box.array = _array(data, dtype, shape, "F" if is_fortran else "C")
            case _DType() as box, (int(), str(order), None, None, None, int(), int(), int()):
                if order not in ("<", ">", "|"):
                    raise ValueError("the pickle holds a dtype with an invalid byte order")
                box.dtype = np.dtype(order + box.dtype.str[1:])
            case Instance(_, None) as box, dict():
                box.attributes = state
            case Instance(_, None) as box, (None | dict(), dict(slots)):
                box.attributes = {**(state[0] or {}), **slots}
            case target, _:
                raise _Refused(f"sets the state of {_shown(target)}")


class _Refused(ValueError):
    """Something in a pickle that the pickles of pepg-es do not have."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(
            f"the pickle {what}, which files of pepg-es do not need; it was refused, and nothing was run{hint}"
        )


def _shown(value: Any) -> str:
    return value.name if isinstance(value, Name | _Function) else f"a {type(value).__name__}"


def _array(data: Any, dtype: DType, shape: tuple[Any, ...], order: str) -> Array:
    """Make an array in the memory of its bytes."""
    is_shape = len(shape) <= 64 and all(type(n) is int and 0 <= n < 2**63 for n in shape)
    if not is_shape or order not in ("C", "F"):
        raise ValueError("the pickle holds an array with an invalid shape")
    if type(data) is bytes:  # at most `_SHORT` bytes; Python may share them between arrays
        data = _Bytes.of(data)
    if type(data) is not _Bytes or data.is_taken:
        raise ValueError("the pickle holds an array without its own bytes")
    if math.prod(shape) * dtype.itemsize != data.memory.size:
        raise ValueError(f"the pickle holds {data.memory.size} bytes for an array of another size")
    data.is_taken = True
    array: Array = np.ndarray(shape, dtype, data.memory, order=order)  # type: ignore[arg-type]
    files.refuse_damaged_numbers(array)
    return array


class _Result:
    """Copies the machine's value within limits: containers are copied, so that none contains itself."""

    def __init__(self) -> None:
        self._values_left = MOST_VALUES
        self._text_left = MOST_TEXT
        self._repeated_left = MOST_REPEATED
        self._arrays: set[int] = set()

    def of(self, value: Any, depth: int = 0) -> Any:
        self._values_left -= 1
        if min(self._values_left, self._text_left, self._repeated_left, MOST_DEPTH - depth) < 0:
            raise ValueError("the pickle nests or repeats its values too often")
        match value:
            case list() | tuple():
                return type(value)(self.of(item, depth + 1) for item in value)
            case dict():
                return {key: self.of(item, depth + 1) for key, item in value.items()}
            case Instance(kind, attributes):
                return Instance(kind, self.of(attributes or {}, depth + 1))
            case _Array(np.ndarray() as array):
                return self.of(array, depth)
            case np.ndarray():
                self._repeated_left -= value.nbytes if id(value) in self._arrays else 0
                self._arrays.add(id(value))
                return value
            case str() | bytes():
                self._text_left -= len(value)
                return value
            case _Bytes(memory, kind):
                self._text_left -= memory.size
                return kind(memory.tobytes() if self._text_left >= 0 else b"")
            case _DType(dtype):
                return dtype
            case _Array() | _Function():
                raise ValueError("the pickle holds a function, or an array without contents")
        return value


#: The opcodes in files of pepg-es, except PROTO at the beginning and STOP at the end.
_OPCODES: dict[bytes, Callable[[_Machine], None]] = {
    pickle.FRAME: lambda m: m.skip_frame(),
    # Numbers, text, bytes.
    pickle.NONE: lambda m: m.push(None),
    pickle.NEWTRUE: lambda m: m.push(True),
    pickle.NEWFALSE: lambda m: m.push(False),
    pickle.BININT: lambda m: m.push(m.signed(4)),
    pickle.BININT1: lambda m: m.push(m.unsigned(1)),
    pickle.BININT2: lambda m: m.push(m.unsigned(2)),
    pickle.LONG1: lambda m: m.push(m.signed(m.unsigned(1))),
    pickle.BINFLOAT: lambda m: m.push(m.real()),
    pickle.SHORT_BINUNICODE: lambda m: m.push(m.text(m.unsigned(1))),
    pickle.BINUNICODE: lambda m: m.push(m.text(m.unsigned(4))),
    pickle.SHORT_BINBYTES: lambda m: m.push(m.take(m.unsigned(1))),
    pickle.BINBYTES: lambda m: m.push(m.bytes_of(bytes, m.unsigned(4))),
    pickle.BYTEARRAY8: lambda m: m.push(m.bytes_of(bytearray, m.unsigned(8))),
    # Containers.
    pickle.MARK: lambda m: m.mark(),
    pickle.EMPTY_LIST: lambda m: m.push([]),
    pickle.APPEND: lambda m: m.append(m.pop(1)),
    pickle.APPENDS: lambda m: m.append(m.pop_to_mark()),
    pickle.EMPTY_DICT: lambda m: m.push({}),
    pickle.SETITEM: lambda m: m.set_items(m.pop(2)),
    pickle.SETITEMS: lambda m: m.set_items(m.pop_to_mark()),
    pickle.EMPTY_TUPLE: lambda m: m.push(()),
    pickle.TUPLE1: lambda m: m.push(tuple(m.pop(1))),
    pickle.TUPLE2: lambda m: m.push(tuple(m.pop(2))),
    pickle.TUPLE3: lambda m: m.push(tuple(m.pop(3))),
    pickle.TUPLE: lambda m: m.push(tuple(m.pop_to_mark())),
    # Repeated values.
    pickle.MEMOIZE: lambda m: m.memoize(),
    pickle.BINPUT: lambda m: m.memoize(m.unsigned(1)),
    pickle.LONG_BINPUT: lambda m: m.memoize(m.unsigned(4)),
    pickle.BINGET: lambda m: m.recall(m.unsigned(1)),
    pickle.LONG_BINGET: lambda m: m.recall(m.unsigned(4)),
    # Classes, functions and objects: names and attributes.
    pickle.GLOBAL: lambda m: m.push(m.named(m.line(), m.line())),
    pickle.STACK_GLOBAL: lambda m: m.push(m.named(*m.pop(2))),
    pickle.REDUCE: lambda m: m.push(m.called(*m.pop(2))),
    pickle.NEWOBJ: lambda m: m.push(m.instance(*m.pop(2))),
    pickle.BUILD: lambda m: m.build(*m.pop(1)),
}

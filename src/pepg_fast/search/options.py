"""What a search can be told by keyword: one entry for each option, from which all else is derived."""

import functools
import re
import textwrap
from collections.abc import Callable, Mapping
from inspect import Parameter, Signature
from typing import Any, Generic, TypeVar, overload

from .. import _checks

T = TypeVar("T")
#: Takes the name of an option, what was given and the number of parameters; returns the value, or refuses it.
Check = Callable[[str, Any, int], Any]
_Class = TypeVar("_Class", bound=type)
#: Arguments of the original's that may be functions of the step.
RATES = ("mu_lr", "sigma_lr", "l2_coeff")


def flag(name: str, value: Any, size: int) -> bool:
    """Take True or False."""
    return _checks.flag(name, value)


def one_of(known: tuple[str, ...]) -> Check:
    """Take one of the names."""
    return lambda name, value, size: _checks.choice(name, value, known)


def number(*, positive: bool = False) -> Check:
    """Take a finite number."""
    return lambda name, value, size: _checks.number(name, value, positive=positive)


def count(name: str, value: Any, size: int) -> int:
    """Take a whole number of at least 1."""
    return _checks.integer(name, value, at_least=1)


def limit(*, infinite: bool = False) -> Check:
    """Take a number above 0, or one for each parameter."""
    return lambda name, value, size: _checks.limit(
        name, value, size, positive=True, infinite=infinite
    )


def optional(check: Check) -> Check:
    """Take None, too."""
    return lambda name, value, size: None if value is None else check(name, value, size)


def real_dtype(name: str, value: Any, size: int) -> Any:
    """Take float64 or float32."""
    return _checks.real_dtype(value)


def thread_count(name: str, value: Any, size: int) -> int:
    """Take a number of threads; None becomes 0, for OpenMP's usual number."""
    return _checks.thread_count(value)


class Argument:
    """A keyword of the constructor that is no attribute.

    Parameters
    ----------
    kind : str
        What it may be, as documented.
    default : object
        Its value where it is not given.
    doc : str
        What it does.
    """

    def __init__(self, kind: str, default: Any, doc: str) -> None:
        self.kind, self.default, self.doc = kind, default, doc
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name.lstrip("_")


class Option(Argument, Generic[T]):
    """A keyword of the constructor, the attribute that users read, and what files and histories hold of it.

    Parameters
    ----------
    kind, default, doc
        As of an `Argument`.
    check : callable, optional
        Takes (name, value, number of parameters); without it, the constructor checks.
    part : str
        The attribute of the search that holds it, with ``options`` and ``changed(name, value)``; by default the search
        itself.
    is_assignable : bool
        Whether users may assign it.
    is_shown : bool
        Whether histories say what it is.
    may_be_function : bool
        Whether it may be a function, which a file cannot hold.
    stands_for_default : object
        What users read where it is the default, if that is something else; it may be assigned too.
    is_later : bool
        Whether there are files from before it existed, which lack it: they get the default.
    """

    def __init__(
        self,
        kind: str,
        default: Any,
        doc: str,
        check: Check | None = None,
        *,
        part: str = "",
        is_assignable: bool = False,
        is_shown: bool = True,
        may_be_function: bool = False,
        stands_for_default: Any = None,
        is_later: bool = False,
    ) -> None:
        super().__init__(kind, default, doc)
        self.check, self.part, self.is_assignable = check, part, is_assignable
        self.is_shown, self.may_be_function = is_shown, may_be_function
        self.stands_for_default, self.is_later = stands_for_default, is_later
        self.__doc__ = doc

    @overload
    def __get__(self, es: None, owner: type) -> "Option[T]": ...
    @overload
    def __get__(self, es: Any, owner: type) -> T: ...
    def __get__(self, es: Any, owner: type) -> Any:
        if es is None:
            return self
        state = vars(es)
        try:
            return (state[self.part].options if self.part else state)[self.name]
        except KeyError:
            raise AttributeError(
                f"{owner.__name__!r} object has no attribute {self.name!r}"
            ) from None

    def __set__(self, es: Any, value: Any) -> None:
        if not self.is_assignable:
            raise AttributeError(
                f"property {self.name!r} of {type(es).__name__!r} object has no setter"
            )
        if self.reads_as(value):
            value = self.default
        value = self.checked(value, es.theta_size)
        if self.part:
            vars(es)[self.part] = vars(es)[self.part].changed(self.name, value)
        else:
            vars(es)[self.name] = value

    def reads_as(self, value: Any) -> bool:
        """Whether a value is what users read for the default."""
        return self.stands_for_default is not None and bool(value == self.stands_for_default)

    def checked(self, value: Any, size: int) -> Any:
        """Return the value that was given, as it is kept."""
        return value if self.check is None else self.check(self.name, value, size)


@functools.lru_cache(maxsize=16)  # a class that is held here is never freed
def arguments_of(kind: type) -> dict[str, Argument]:
    """All keywords of a class and its bases, in order."""
    bases = (vars(base).values() for base in reversed(kind.__mro__))
    return {one.name: one for values in bases for one in values if isinstance(one, Argument)}


def options_of(kind: type) -> dict[str, Option[Any]]:
    """Those of them that are kept."""
    return {name: one for name, one in arguments_of(kind).items() if isinstance(one, Option)}


def may_be_functions(kind: type) -> tuple[str, ...]:
    """Return the names of what may be a function, which a file cannot hold."""
    return (*RATES, *(name for name, one in options_of(kind).items() if one.may_be_function))


def read(kind: type, given: dict[str, Any], size: int) -> dict[str, Any]:
    """Take what a constructor was given, with defaults for the rest; TypeError for a keyword that it does not know."""
    known = arguments_of(kind)
    for name in given:
        if name not in known:
            raise TypeError(_unexpected(kind, name, list(known)))
    values = {name: given.get(name, one.default) for name, one in known.items()}
    return {
        name: one.checked(values[name], size) if isinstance(one, Option) else values[name]
        for name, one in known.items()
    }


def of_part(kind: type, part: str, values: dict[str, Any]) -> dict[str, Any]:
    """Return those of the values that a part of the search holds."""
    return {name: values[name] for name, one in options_of(kind).items() if one.part == part}


def _unexpected(kind: type, name: str, known: list[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, known, 1)
    hint = f". Did you mean {near[0]!r}?" if near else ""
    return f"{kind.__name__}.__init__() got an unexpected keyword argument {name!r}{hint}"


def filled(doc: str | None, texts: Mapping[str, str]) -> str | None:
    """Return a docstring with texts in the place of its lines ``{name, name}``, as far to the right as those."""

    def text_of(line: re.Match[str]) -> str:
        return textwrap.indent("\n".join(texts[name] for name in line[2].split(", ")), line[1])

    return doc and re.sub(r"^( *)\{([\w*, ]+)\}$", text_of, doc, flags=re.MULTILINE)


def documented(kind: _Class) -> _Class:
    """Write the options into a class's docstring, in the place of a line ``{options}``, and into its signature."""
    arguments = arguments_of(kind)
    texts = (
        f"{name} : {one.kind}\n{textwrap.indent(textwrap.fill(one.doc, 111), ' ' * 4)}"
        for name, one in arguments.items()
    )
    kind.__doc__ = filled(kind.__doc__, {"options": "\n".join(texts)})
    construct: Any = kind.__init__  # type: ignore[misc]
    first = [
        one
        for one in Signature.from_callable(construct).parameters.values()
        if one.name not in arguments and one.kind is not Parameter.VAR_KEYWORD
    ]
    by_name = [
        Parameter(name, Parameter.KEYWORD_ONLY, default=one.default)
        for name, one in arguments.items()
    ]
    if "__init__" in vars(kind):
        construct.__signature__ = Signature([*first, *by_name], return_annotation=None)
    else:
        kind.__signature__ = Signature([*first[1:], *by_name])  # type: ignore[attr-defined]
    return kind

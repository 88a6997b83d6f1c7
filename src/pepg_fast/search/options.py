"""Keyword options of a search: one entry each, from which checks, properties, files and documentation derive."""

import functools
import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from inspect import Parameter, Signature
from typing import Any, Generic, TypeVar, overload

from .. import _caller, _checks

T = TypeVar("T")
#: Takes an option's name, the given value and the number of parameters; returns the value to keep, or raises.
Check = Callable[[str, Any, int], Any]
_Class = TypeVar("_Class", bound=type)
#: Arguments of pepg-es that may be functions of the step here.
RATES = ("mu_lr", "sigma_lr", "l2_coeff")


def by(check: Callable[..., Any], **how: Any) -> Check:
    """Make a check from one that does not need the number of parameters."""
    return lambda name, value, size: check(name, value, **how)


flag, count = by(_checks.flag), by(_checks.integer, at_least=1)


def one_of(known: tuple[str, ...]) -> Check:
    """Accept one of the known names."""
    return by(_checks.choice, known=known)


def number(*, positive: bool = False, infinite: bool = False) -> Check:
    """Accept a number, finite unless `infinite`."""
    return by(_checks.number, positive=positive, infinite=infinite)


def limit(*, infinite: bool = False) -> Check:
    """Accept a number above 0, or one for each parameter."""
    return functools.partial(_checks.limit, positive=True, infinite=infinite)


def optional(check: Check) -> Check:
    """Accept None, too."""
    return lambda name, value, size: None if value is None else check(name, value, size)


def real_dtype(name: str, value: Any, size: int) -> Any:
    """Accept float64 or float32."""
    return _checks.real_dtype(value)


def thread_count(name: str, value: Any, size: int) -> int:
    """Accept a number of threads; None becomes 0, for OpenMP's usual number."""
    return _checks.thread_count(value)


@dataclass(eq=False)
class Argument:
    """A keyword of the constructor that does not become an attribute: documented type, default, and what it does."""

    kind: str
    default: Any
    doc: str
    name: str = field(default="", init=False)

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name.lstrip("_")


@dataclass(eq=False)
class Option(Argument, Generic[T]):
    """A keyword of the constructor that becomes an attribute, and that files and histories record."""

    #: If there is none, the constructor checks the value.
    check: Check | None = None
    _: KW_ONLY
    #: Name of the search's attribute that holds the value, an object with ``options`` and ``changed(name, value)``; the
    #: search itself by default.
    part: str = ""
    #: Whether users may assign the attribute.
    is_assignable: bool = False
    #: Whether histories record the value.
    is_shown: bool = True
    #: Whether the value may be a function, which a file cannot hold.
    may_be_function: bool = False
    #: The value that users read in place of the default, if the two differ; it may also be assigned.
    stands_for_default: Any = None
    #: Whether some files were written before this option existed: they get the default.
    is_later: bool = False

    def __post_init__(self) -> None:
        self.__doc__ = self.doc

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
        """Return whether a value is the one that users read in place of the default."""
        return self.stands_for_default is not None and bool(value == self.stands_for_default)

    def checked(self, value: Any, size: int) -> Any:
        """Return the value to keep for a given one."""
        return value if self.check is None else self.check(self.name, value, size)


@functools.lru_cache(maxsize=16)  # bounded, because a class in the cache is never freed
def arguments_of(kind: type) -> dict[str, Argument]:
    """Return all keywords of a class and its bases, in order."""
    bases = (vars(base).values() for base in reversed(kind.__mro__))
    return {one.name: one for values in bases for one in values if isinstance(one, Argument)}


def options_of(kind: type) -> dict[str, Option[Any]]:
    """Return those keywords of a class that become attributes."""
    return {name: one for name, one in arguments_of(kind).items() if isinstance(one, Option)}


def may_be_functions(kind: type) -> tuple[str, ...]:
    """Return the names of the arguments that may be functions, which a file cannot hold."""
    return (*RATES, *(name for name, one in options_of(kind).items() if one.may_be_function))


def read(kind: type, given: Mapping[str, Any], size: int) -> dict[str, Any]:
    """Return the checked keywords of a constructor, with defaults for those that were not given."""
    known = arguments_of(kind)
    values = {name: given.get(name, one.default) for name, one in known.items()}
    return {
        name: one.checked(values[name], size) if isinstance(one, Option) else values[name]
        for name, one in known.items()
    }


def of_part(kind: type, part: str, values: dict[str, Any]) -> dict[str, Any]:
    """Return the values that a part of the search holds."""
    return {name: values[name] for name, one in options_of(kind).items() if one.part == part}


def filled(doc: str | None, texts: Mapping[str, str]) -> str | None:
    """Return a docstring whose lines ``{name, name}`` are replaced by the named texts, with the same indentation."""

    def text_of(line: re.Match[str]) -> str:
        return textwrap.indent("\n".join(texts[name] for name in line[2].split(", ")), line[1])

    return doc and re.sub(r"^( *)\{([\w*, ]+)\}$", text_of, doc, flags=re.MULTILINE)


def documented(kind: _Class) -> _Class:
    """Put the options into a class's docstring, in place of its line ``{options}``, and into its signature."""
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
        kind.__init__ = _refusing(construct, [one.name for one in first])  # type: ignore[misc]
    else:
        kind.__signature__ = Signature([*first[1:], *by_name])  # type: ignore[attr-defined]
    return kind


def _refusing(construct: Callable[..., None], first: list[str]) -> Callable[..., None]:
    """Let a constructor suggest a keyword when it gets one that neither it nor an option of the class has."""

    @functools.wraps(construct)
    def checked(self: Any, *arguments: Any, **given: Any) -> None:
        kind: Any = type(self)
        known = [*first, *arguments_of(kind)]
        _caller.refuse_keywords(f"{kind.__name__}.__init__", given, known, kind.run)
        construct(self, *arguments, **given)

    return checked

"""Public docstrings are numpydoc: they describe every parameter and result, and nothing that does not exist."""

import inspect
from collections.abc import Iterator

import pytest

import pepg_fast
import pepg_fast.distributed

validate = pytest.importorskip("numpydoc.validate").validate

#: numpydoc's checks; left out are those of taste (a summary in one line of 80, See Also, Examples).
CHECKS = {
    "GL01", "GL02", "GL03", "GL05", "GL06", "GL07", "GL08", "GL10", "SS01", "SS02", "SS03", "SS04", "SS05", "PR01",
    "PR02", "PR03", "PR04", "PR06", "PR07", "PR10", "RT01", "RT02", "RT03", "YD01",
}  # fmt: skip
#: Where a check does not see what is there.
EXCEPTIONS = {
    "pepg_fast.PEPG.iter_parameters": {"RT01"},  # yields
    "pepg_fast.Result": {"PR01"},  # its fields are attributes
    "pepg_fast.training.TrainResult": {"PR01"},
    "pepg_fast.training.Score": {"PR01"},
    "pepg_fast.Limits": {"PR01"},
    "pepg_fast.distributed.Costs": {"PR01"},
    "pepg_fast.distributed.Evaluated": {"PR01"},
}


def public_names() -> Iterator[str]:
    for name in ("pgpelib", "evotorch", "evosax", "evojax", "fcmaes", "estool"):
        yield f"pepg_fast.presets.{name}"
    yield from names_in(pepg_fast)
    yield from names_in(pepg_fast.training)
    yield from names_in(pepg_fast.distributed)


def names_in(module) -> Iterator[str]:
    for name in module.__all__:
        try:
            thing = getattr(module, name)
        except ModuleNotFoundError:  # an extra's
            continue
        if not callable(thing):
            continue
        yield f"{module.__name__}.{name}"
        for method, value in vars(thing).items() if inspect.isclass(thing) else ():
            is_method = inspect.isfunction(value) or isinstance(value, classmethod | staticmethod)
            is_callbacks = pepg_fast.Callback in thing.__mro__[1:] and method in vars(
                pepg_fast.Callback
            )
            if is_method and not method.startswith("_") and not is_callbacks:
                yield f"{module.__name__}.{name}.{method}"


@pytest.mark.parametrize("name", list(public_names()))
def test_docstring(name):
    found = {code: text for code, text in validate(name)["errors"] if code in CHECKS}
    assert not {code: text for code, text in found.items() if code not in EXCEPTIONS.get(name, ())}


def test_the_public_names_are_there():
    assert set(pepg_fast.__all__) <= set(dir(pepg_fast))
    with pytest.raises(AttributeError, match="module 'pepg_fast' has no attribute 'Nothing'"):
        _ = pepg_fast.Nothing

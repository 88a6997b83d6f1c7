"""Options of the search: each is one entry, from which everything else is derived."""

import copy
import inspect
import pickle

import numpy as np
import pytest

from pepg_fast import PEPG
from pepg_fast.run import configuration
from pepg_fast.search import options
from pepg_fast.search.options import Argument, Option


def make(kind=PEPG, **given):
    return kind(4, 3, 0.0, 1.0, 0.1, 0.1, rng=1, **given)


class Louder(PEPG):
    """A search with an additional option.

    {options}
    """

    loudness = Option[float](
        "float", 1.0, "How loud it is.", options.number(positive=True), is_assignable=True
    )


def test_an_option_is_one_entry(tmp_path):
    options.documented(Louder)
    assert "    loudness : float\n        How loud it is." in Louder.__doc__
    assert inspect.signature(Louder).parameters["loudness"].default == 1.0
    es = make(Louder, loudness=2)
    assert es.loudness == 2.0
    with pytest.raises(ValueError, match="loudness: wanted a number above 0, got -1"):
        es.loudness = -1
    assert configuration.of_search(es)["loudness"] == "2.0"
    es.save_checkpoint(tmp_path / "c")
    assert Louder.load_checkpoint(tmp_path / "c").loudness == 2.0


def test_files_from_before_a_later_option_get_its_default(tmp_path):
    class Later(PEPG):
        mode = Option("str", "plain", "How.", options.one_of(("plain", "other")), is_later=True)

    class Required(PEPG):
        mode = Option("str", "plain", "How.", options.one_of(("plain", "other")))

    make().save_checkpoint(tmp_path / "before")
    assert Later.load_checkpoint(tmp_path / "before").mode == "plain"
    with pytest.raises(ValueError, match="before: not a usable checkpoint file: 'mode'"):
        Required.load_checkpoint(tmp_path / "before")
    make(Later, mode="other").save_checkpoint(tmp_path / "after")
    assert Later.load_checkpoint(tmp_path / "after").mode == "other"


def test_the_signature_and_the_docstring_name_every_option():
    parameters = inspect.signature(PEPG).parameters
    known = options.arguments_of(PEPG)
    assert list(parameters)[-len(known) :] == list(known)
    for name, one in known.items():
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
        assert f"    {name} : {one.kind}\n" in PEPG.__doc__
        if type(one) is Argument:
            assert not hasattr(PEPG, name)


def test_an_unknown_keyword_is_named_with_the_nearest_option():
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'tie'\. Did you mean 'ties'"):
        make(tie="average")


#: For each option a value that is not its default.
OTHERS = {
    "dtype": np.dtype(np.float32), "n_threads": 2, "fitness_shaping": "nes", "ties": "argsort", "maximize": False,
    "nan_policy": "worst", "symmetric": False, "sigma_max_change": 0.2, "sigma_min": 0.1, "sigma_max": 3.0,
    "sigma_decay": 0.9, "sigma_decay_limit": 0.5, "lower": np.full(3, -1.0), "upper": np.full(3, 1.0),
    "num_interactions": 10, "popsize_max": 8, "keep_gradient": True, "top": 1,
}  # fmt: skip


@pytest.mark.parametrize("name", options.options_of(PEPG))
def test_an_option_is_read_as_it_was_given_and_assigned_if_it_may_be(name):
    needed = {"num_interactions": 10} if name == "popsize_max" else {}
    option, value = options.options_of(PEPG)[name], OTHERS[name]
    given, es = make(**needed, **{name: value}), make(**needed)
    assert not np.array_equal(getattr(es, name), value)
    for twin in (given, copy.deepcopy(given), pickle.loads(pickle.dumps(given))):
        np.testing.assert_array_equal(getattr(twin, name), value)
    if option.is_assignable:
        setattr(es, name, value)
        np.testing.assert_array_equal(getattr(es, name), value)
    else:
        with pytest.raises(
            AttributeError, match=f"property '{name}' of 'PEPG' object has no setter"
        ):
            setattr(es, name, value)


def test_a_refused_option_leaves_the_others():
    es = make(sigma_min=0.5)
    with pytest.raises(ValueError, match=r"sigma_min: wanted at most sigma_max = 0\.1, got 0\.5"):
        es.sigma_max = 0.1
    assert (es.sigma_min, es.sigma_max) == (0.5, np.inf)

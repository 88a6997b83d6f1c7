"""Everything that a call could change in a search, as values that can be compared."""

import copy

_PARTS = ("_generation", "_sigma", "_fitness", "optimizer")


def snapshot(es):
    """Return a copy of the attributes of a search, of its parts and of its optimizer."""
    return copy.deepcopy(state_of(es))


def state_of(es):
    """Return the same attributes without copying them."""
    plain = {name: value for name, value in vars(es).items() if name not in _PARTS}
    parts = {
        "generation": es._generation.to_state(),
        "sigma": es._sigma.values,
        "sigma's options": es._sigma.options,
        "shaping's options": es._fitness.options,
        "has_warned": es._fitness.has_warned,
        "optimizer": {k: v for k, v in vars(es.optimizer).items() if k != "result"},
    }
    return plain | parts

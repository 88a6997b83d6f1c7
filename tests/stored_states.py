"""States as files hold them, with something changed."""

import copy


def changed(state, path, value):
    """A state with another value at a dotted path; without the field, if the value is `KeyError`."""
    result = copy.deepcopy(state)
    *parents, last = path.split(".")
    place = result
    for key in parents:
        place = place[key]
    if value is KeyError:
        del place[last]
    else:
        place[last] = value
    return result


def nested(levels):
    """Lists within one another."""
    value = 1
    for _ in range(levels):
        value = [value]
    return value

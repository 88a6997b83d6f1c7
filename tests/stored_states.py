"""States as files hold them, with changes."""

import copy


def changed(state, path, value):
    """Return a state with another value at a dotted path, or without that field if the value is `KeyError`."""
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
    """Return nested lists."""
    value = 1
    for _ in range(levels):
        value = [value]
    return value

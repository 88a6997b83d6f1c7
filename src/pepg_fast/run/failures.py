"""What is raised where an evaluation fails, in this process or in another one."""

import pickle
import traceback
from typing import Any, NamedTuple


class EvaluationError(RuntimeError):
    """An evaluation failed; the search is as it was, its population still waits for rewards.

    Parameters
    ----------
    message : str
        What failed and how.
    index : int
        See below.

    Attributes
    ----------
    index : int
        The candidate, the first of those that were evaluated together, or -1 for the center (whose step has been made).
    result : Result or None
        What the run had come to, with its history.
    """

    #: Set by the run.
    result: Any = None
    #: Where all processes of a run raise the same error: the rank that it comes from.
    rank: int | None = None

    def __init__(self, message: str, index: int) -> None:
        super().__init__(message)
        self.index = index

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.args[0], self.index)


def candidate(index: int) -> str:
    """What messages call a candidate."""
    return "the center" if index < 0 else f"candidate {index}"


def failed(index: int, how: str) -> EvaluationError:
    """The error of a candidate whose evaluation raised something."""
    return EvaluationError(f"evaluate: {candidate(index)} raised {how}", index)


def in_a_line(error: BaseException) -> str:
    """Show an exception in a line; some cannot be shown."""
    try:
        text = str(error)
    except Exception:
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


class Failure(NamedTuple):
    """An exception on its way from another process."""

    error: EvaluationError
    cause: BaseException | None  # None if it does not pickle
    text: str  # the cause in a line
    trace: str  # where it was raised

    @classmethod
    def of(cls, error: BaseException, index: int) -> "Failure":
        """Pack an exception that was raised for candidates from `index` on."""
        cause = error
        if isinstance(error, EvaluationError):
            cause = error.__cause__ or error
        else:
            error = failed(index, in_a_line(error))
        if not _pickles(error):  # somebody's own kind of EvaluationError
            error = EvaluationError(str(error), error.index)
        trace = "".join(traceback.format_exception(cause))
        return cls(error, cause if _pickles(cause) else None, in_a_line(cause), trace)

    def as_error(self) -> EvaluationError:
        """Return what to raise for it, with the other process's traceback."""
        cause = self.cause if self.cause is not None else RuntimeError(self.text)
        cause.__cause__ = RemoteTraceback(self.trace)
        self.error.__cause__ = cause
        return self.error


class RemoteTraceback(Exception):
    """Shows, as the cause of an exception, where in another process it was raised."""

    def __str__(self) -> str:
        return f"\n\n{self.args[0]}"


def _pickles(error: BaseException) -> bool:
    """Whether an exception gets through to another process as one."""
    try:
        return isinstance(pickle.loads(pickle.dumps(error)), type(error))
    except Exception:
        return False

"""Errors of evaluations that fail in this process or in another one."""

import pickle
import traceback
from typing import Any, NamedTuple


class EvaluationError(RuntimeError):
    """An evaluation failed. The search has not changed, and its population still awaits its rewards.

    Parameters
    ----------
    message : str
        What failed, and how.
    index : int
        The candidate, as described below.

    Attributes
    ----------
    index : int
        Index of the candidate, or of the first candidate of those that were evaluated together, or -1 for the center
        (whose step is complete).
    result : Result or None
        Result of the run up to the failure, with its history.
    """

    #: Set by the run.
    result: Any = None
    #: If all processes of a run raise the same error, the rank where it occurred.
    rank: int | None = None

    def __init__(self, message: str, index: int) -> None:
        super().__init__(message)
        self.index = index

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.args[0], self.index)


def candidate(index: int) -> str:
    """Return the name of a candidate in messages."""
    return "the center" if index < 0 else f"candidate {index}"


def failed(index: int, how: str) -> EvaluationError:
    """Return the error for a candidate whose evaluation raised an exception."""
    return EvaluationError(f"evaluate: {candidate(index)} raised {how}", index)


def in_a_line(error: BaseException) -> str:
    """Format an exception as one line; the str of some exceptions fails."""
    try:
        text = str(error)
    except Exception:
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


class Failure(NamedTuple):
    """An exception to be passed from another process."""

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
        if not _pickles(error):  # a user's subclass of EvaluationError
            error = EvaluationError(str(error), error.index)
        trace = "".join(traceback.format_exception(cause))
        return cls(error, cause if _pickles(cause) else None, in_a_line(cause), trace)

    def as_error(self) -> EvaluationError:
        """Return the error to raise, with the other process's traceback as its cause."""
        cause = self.cause if self.cause is not None else RuntimeError(self.text)
        cause.__cause__ = RemoteTraceback(self.trace)
        self.error.__cause__ = cause
        return self.error


class RemoteTraceback(Exception):
    """Shows the traceback of another process as the cause of an exception."""

    def __str__(self) -> str:
        return f"\n\n{self.args[0]}"


def _pickles(error: BaseException) -> bool:
    """Whether an exception survives pickling."""
    try:
        return isinstance(pickle.loads(pickle.dumps(error)), type(error))
    except Exception:
        return False

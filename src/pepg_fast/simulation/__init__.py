"""Episodes of a simulation in C, and the compiled functions that users hand over."""

from .episodes import NAN_POLICIES, Rollout, Simulation

__all__ = ["NAN_POLICIES", "Rollout", "Simulation"]

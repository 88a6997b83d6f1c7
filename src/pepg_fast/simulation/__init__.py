"""Episodes of a simulation in C, and the compiled functions of users."""

from .episodes import NAN_POLICIES, Rollout, Simulation

__all__ = ["NAN_POLICIES", "Rollout", "Simulation"]

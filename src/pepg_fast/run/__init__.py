"""The run loop: evaluations, limits, callbacks, logs, history and pictures."""

"""The run loop, what it evaluates with, what ends it, and what watches it: callbacks, logs, history, pictures."""

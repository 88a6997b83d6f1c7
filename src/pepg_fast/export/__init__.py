"""Export of policies: one description of a policy, and a module for each format that renders it."""

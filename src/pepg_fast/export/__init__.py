"""Policies for other programs: one description, and a module for each format that renders it."""

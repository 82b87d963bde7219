"""Answers about the state: usage, explanations, the check."""

"""Runs and comparisons."""

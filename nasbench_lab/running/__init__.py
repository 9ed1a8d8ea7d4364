"""Searches and comparisons."""

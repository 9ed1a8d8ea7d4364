"""What a comparison is: a class, and its form as a file."""

DEFAULT_SEEDS = 100
"""How many seeds a comparison has if nothing else is said."""

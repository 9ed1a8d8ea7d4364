"""Models that predict what an architecture is worth."""

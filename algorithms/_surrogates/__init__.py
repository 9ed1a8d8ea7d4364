"""Models that several algorithms share."""

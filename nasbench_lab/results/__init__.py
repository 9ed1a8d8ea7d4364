"""What came of a comparison, in memory and on disk."""

"""Search algorithms, one per file; a file's name is the algorithm's name."""

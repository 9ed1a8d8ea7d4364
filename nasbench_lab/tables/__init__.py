"""Tables of measured architectures, on disk and in memory."""

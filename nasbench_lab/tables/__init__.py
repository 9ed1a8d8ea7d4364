"""Tables of what architectures are worth, on disk and in memory."""

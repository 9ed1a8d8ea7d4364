"""A classroom: the searches of many students, each in a process of its own, and their marks."""

"""Reads pickled files without executing anything of them."""

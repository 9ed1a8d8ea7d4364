"""Reads pickles without executing anything in them."""

"""Drawings of architectures."""

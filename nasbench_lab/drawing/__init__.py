"""Drawings of architectures."""

from nasbench_lab.drawing.drawing import Drawing, draw

__all__ = ["Drawing", "draw"]

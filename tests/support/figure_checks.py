"""What every figure is checked for: nothing overlaps, nothing is cut off, all can be read."""

import csv
from itertools import pairwise

import pandas as pd
from matplotlib.image import imread
from matplotlib.text import Text


def visible(figure):
    """The panels, without colour bars."""
    return [p for p in figure.axes if p.get_visible() and p.get_label() != "<colorbar>"]


def nothing_is_cut_off(png):
    """The border of a picture is white."""
    pixels = imread(png)[..., :3]
    for border in (pixels[:2], pixels[-2:], pixels[:, :2], pixels[:, -2:]):
        assert border.min() == 1


def nothing_overlaps(figure, parts):
    # Texts are as wide as the resolution allows, so they are laid out for the one asked here.
    figure.draw_without_rendering()
    boxes = [part.get_tightbbox() for part in parts]
    for i, one in enumerate(boxes):
        assert one.x0 >= 0
        assert one.y0 >= 0
        assert one.x1 <= figure.bbox.x1
        assert one.y1 <= figure.bbox.y1
        assert not any(one.overlaps(other) for other in boxes[i + 1 :]), boxes


def names_do_not_overlap(panel):
    """Neither the names at the ends of curves, nor those of lines."""
    for texts in (panel.texts, panel.get_yticklabels()):
        # `Text`, since an annotation's extent includes its arrow.
        boxes = [Text.get_window_extent(text) for text in texts if text.get_text()]
        boxes.sort(key=lambda box: box.y0)
        assert all(above.y0 >= below.y1 for below, above in pairwise(boxes))


def texts_are_readable(figure):
    assert all(text.get_fontsize() >= 7 for text in figure.findobj(Text))


def holds_all_of(file, data):
    """A CSV file has the very values of a frame."""
    with open(file, newline="", encoding="utf-8") as text:
        head, *lines = csv.reader(text)
    assert head == list(data.columns)
    assert len(lines) == len(data)
    for written, (_, column) in zip(zip(*lines, strict=True), data.items(), strict=True):
        for word, value in zip(written, column, strict=True):
            if isinstance(value, str):
                assert word == value
            elif word == "":
                assert pd.isna(value)
            else:
                # Python writes and reads floats without loss.
                assert float(word) == value

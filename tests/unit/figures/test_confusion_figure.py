"""The confusion matrix: every number stands in its cell, and nothing is cut off."""

import numpy as np
import pytest
from figure_checks import nothing_is_cut_off, texts_are_readable

from nasbench_lab.figures import save_figure
from nasbench_lab.figures.confusion import confusion_data, confusion_figure


@pytest.mark.parametrize("classes", [2, 10, 60])
def test_numbers_stand_in_their_cells(tmp_path, classes):
    rng = np.random.default_rng(classes)
    confusion = rng.poisson(1.0, (classes, classes)) + 7 * np.eye(classes, dtype=int)
    confusion[1] = 0  # a class without examples
    figure = confusion_figure(confusion, "test images of $mine, seed 3")
    (panel,) = figure.axes
    written = {(round(t.get_position()[1]), round(t.get_position()[0])): t for t in panel.texts}
    if classes <= 20:
        assert {place: int(t.get_text()) for place, t in written.items()} == {
            (i, j): confusion[i, j] for i, j in np.argwhere(confusion).tolist()
        }
        texts_are_readable(figure)
    else:
        assert not written
    (image,) = panel.images
    shares = image.get_array()
    assert np.isfinite(shares).all()
    np.testing.assert_allclose(shares[0], confusion[0] / confusion[0].sum())
    assert panel.get_ylabel() == "true class"
    nothing_is_cut_off(save_figure(figure, tmp_path / "confusion", ("png",))[0])


def test_the_data():
    frame = confusion_data(np.array([[3, 1], [0, 4]]))
    assert frame.to_csv(index=False) == "true class,0,1\n0,3,1\n1,0,4\n"

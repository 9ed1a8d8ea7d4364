"""MNIST-1D: signals of ten classes, each a deformed template of a digit, drawn by a program.

Greydanus and Kobak, "Scaling down deep learning with MNIST-1D", 2024 (arXiv 2011.14439, section 3).
Templates and constants are those of the authors' package ``mnist1d`` 0.0.2. Its signals come from
NumPy's global generator; these come from a generator of their own, in the same distribution. They are
rounded, so that the last bits of a processor's arithmetic do not change the data.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

Floats = NDArray[np.float64]

LENGTH = 40
"""Values of a signal."""

UNIT = 1e-4
"""What the whole numbers count in which signals are kept."""

TEMPLATES = np.array(
    [
        [5, 6, 6.5, 6.75, 7, 7, 7, 7, 6.75, 6.5, 6, 5],
        [5, 3, 3, 3.4, 3.8, 4.2, 4.6, 5, 5.4, 5.8, 5, 5],
        [5, 6, 6.5, 6.5, 6, 5.25, 4.75, 4, 3.5, 3.5, 4, 5],
        [5, 6, 6.5, 6.5, 6, 5, 5, 6, 6.5, 6.5, 6, 5],
        [5, 4.4, 3.8, 3.2, 2.6, 2.6, 5, 5, 5, 5, 5, 5],
        [5, 3, 3, 3, 3, 5, 6, 6.5, 6.5, 6, 4.5, 5],
        [5, 4, 3.5, 3.25, 3, 3, 3, 3, 3.25, 3.5, 4, 5],
        [5, 7, 7, 6.6, 6.2, 5.8, 5.4, 5, 4.6, 4.2, 5, 5],
        [5, 4, 3.5, 3.5, 4, 5, 5, 4, 3.5, 3.5, 4, 5],
        [5, 4, 3.5, 3.5, 4, 5, 5, 5, 5, 4.7, 4.3, 5],
    ]
)
"""``(10, 12)``: the shape of each class, as its authors drew it."""

_PADDING = (36, 60)  # the fewest and the most zeros that follow a template
_WIDE = TEMPLATES.shape[1] + _PADDING[1]  # values before the signal is brought to its length
_SCALE, _TRANSLATION, _SHEAR = 0.4, 48, 0.75
_SMOOTH_NOISE, _NOISE = 0.25, 2e-2


class Draws(NamedTuple):
    """The random numbers of ``n`` signals.

    Attributes:
        padding: ``(n,)`` zeros that follow the template, 36 to 60.
        scale: ``(n,)`` from [0, 1): the height.
        translation: ``(n,)`` steps to the right, 0 to 47.
        smooth_noise: ``(n, 72)`` standard normal values, smoothed and used where the template is not.
        noise: ``(n, 72)`` standard normal values, used everywhere.
        shear: ``(n,)`` from [0, 1): the slope of a line that is taken off.
    """

    padding: NDArray[np.int64]
    scale: Floats
    translation: NDArray[np.int64]
    smooth_noise: Floats
    noise: Floats
    shear: Floats


def draw(n: int, rng: np.random.Generator) -> Draws:
    """Draws the random numbers of ``n`` signals."""
    return Draws(
        padding=rng.integers(_PADDING[0], _PADDING[1], size=n, endpoint=True),
        scale=rng.random(n),
        translation=rng.integers(_TRANSLATION, size=n),
        smooth_noise=rng.standard_normal((n, _WIDE)),
        noise=rng.standard_normal((n, _WIDE)),
        shear=rng.random(n),
    )


def signals(labels: NDArray[np.int64], draws: Draws) -> Floats:
    """Deforms the templates of the labels (arXiv 2011.14439, figure 2).

    Args:
        labels: ``(n,)`` classes, 0 to 9.
        draws: The random numbers of as many signals.

    Returns:
        ``(n, 40)`` signals, neither centred nor scaled.
    """
    n, width = len(labels), TEMPLATES.shape[1]
    shapes = TEMPLATES - TEMPLATES.mean(axis=1, keepdims=True)
    shapes /= shapes.std(axis=1, keepdims=True)
    shapes = (shapes - shapes[:, :1]) / 6.0
    # Template and padding are stretched to one width, by linear interpolation between their values.
    padded = np.zeros((n, _WIDE))
    padded[:, :width] = shapes[labels] + 1e-8  # so that only the padding is zero
    at = np.linspace(0.0, 1.0, _WIDE) * (width + draws.padding[:, None] - 1)
    left = np.minimum(at.astype(np.int64), width + draws.padding[:, None] - 2)
    before = np.take_along_axis(padded, left, axis=1)
    after = np.take_along_axis(padded, left + 1, axis=1)
    x = before + (at - left) * (after - before)

    x *= 1.0 + _SCALE * (draws.scale[:, None] - 0.5)
    x = np.take_along_axis(x, (np.arange(_WIDE) - draws.translation[:, None]) % _WIDE, axis=1)
    smooth = gaussian_filter1d(_SMOOTH_NOISE * draws.smooth_noise, 2.0, axis=1)
    x = np.where(x != 0.0, x, smooth) + _NOISE * draws.noise
    x -= _SHEAR * (draws.shear[:, None] - 0.5) * np.linspace(-0.5, 0.5, _WIDE)

    at = np.linspace(0.0, 1.0, LENGTH) * (_WIDE - 1)
    left = np.minimum(at.astype(np.int64), _WIDE - 2)
    result: Floats = x[:, left] + (at - left) * (x[:, left + 1] - x[:, left])
    return result


def split(n: int, seed: int) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
    """Draws a part of the data set: as many signals of each class, up to one.

    Args:
        n: How many signals.
        seed: Another seed gives other signals.

    Returns:
        ``(n, 40)`` signals in units of ``UNIT``, and ``(n,)`` labels.
    """
    rng = np.random.default_rng(np.random.SeedSequence([201114439, seed]))
    labels = rng.permutation(np.arange(n) % 10)
    return np.rint(signals(labels, draw(n, rng)) / UNIT).astype(np.int16), labels

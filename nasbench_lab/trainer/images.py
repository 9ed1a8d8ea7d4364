"""Images on a device, in batches."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from nasbench_lab.trainer.datasets import ImageData


class Images:
    """The images of one split on a device, with black borders to shift into."""

    def __init__(self, data: ImageData, split: str, shift: int, device: torch.device) -> None:
        border = ((0, 0), (shift, shift), (shift, shift), (0, 0))
        self.pixels = torch.from_numpy(np.pad(data.images[split], border)).to(device)
        self.labels = torch.from_numpy(data.labels[split]).to(device)
        self.mean = torch.tensor(data.mean, device=device)
        self.std = torch.tensor(data.std, device=device)
        self.down = torch.arange(data.shape[0], device=device)
        self.right = torch.arange(data.shape[1], device=device)

    def __len__(self) -> int:
        return len(self.labels)

    def batch(
        self, which: Tensor, moves: Tensor | None = None, flips: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Gathers, moves, mirrors and normalises images.

        Args:
            which: ``(n, groups)`` numbers of images.
            moves: ``(n, groups, 2)`` offsets of the cut in the bordered image, from the top left.
            flips: ``(n, groups)`` whether each image is mirrored.

        Returns:
            ``(n, groups * channels, height, width)`` images, channels last in memory, and
            ``(groups, n)`` labels.
        """
        if moves is None or flips is None:
            pixels = self.pixels[which]
        else:
            rows = moves[..., :1] + self.down
            columns = moves[..., 1:] + torch.where(flips[..., None], self.right.flip(0), self.right)
            pixels = self.pixels[which[..., None, None], rows[..., :, None], columns[..., None, :]]
        x = (pixels.float() - self.mean) / self.std
        # (n, groups, height, width, channels): the groups' channels come to lie side by side.
        x = x.permute(0, 2, 3, 1, 4).flatten(3).permute(0, 3, 1, 2)
        return x, self.labels[which].T

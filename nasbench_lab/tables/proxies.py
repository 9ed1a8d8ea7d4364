"""Zero-cost proxies: scores of networks that were not trained, and the columns that hold them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nasbench_lab.tables.columns import Column
from nasbench_lab.tables.table import Table

SCORE, SECONDS = OF_PROXIES = "proxy", "proxy_time"
"""The quantities of columns with scores, and with the seconds that they took."""


@dataclass(frozen=True)
class Proxy:
    """What a proxy is.

    Args:
        about: What it measures, in a few words.
        paper: Authors, year, and number on arXiv.
        maximize: Whether its authors take more for better.
    """

    about: str
    paper: str
    maximize: bool = True


PROXIES: Mapping[str, Proxy] = {
    "params": Proxy("millions of parameters", "a baseline"),
    "flops": Proxy("millions of multiply-adds for one image", "a baseline"),
    "l2_norm": Proxy("sum of the layers' norms of weights", "Abdelfattah et al. 2021, 2101.08134"),
    "grad_norm": Proxy(
        "sum of the layers' norms of gradients", "Abdelfattah et al. 2021, 2101.08134"
    ),
    "snip": Proxy("|weight times gradient|, summed", "Lee et al. 2019, 1810.02340"),
    "grasp": Proxy(
        "change of the gradient's norm by the weights, summed", "Wang et al. 2020, 2002.07376"
    ),
    "synflow": Proxy("logarithm of the synaptic flow", "Tanaka et al. 2020, 2006.05467"),
    "fisher": Proxy("Fisher information of the layers' channels", "Turner et al. 2020, 1906.04113"),
    "jacov": Proxy(
        "correlation of the gradients of images", "Mellor et al. 2020, 2006.04647, version 1"
    ),
    "naswot": Proxy(
        "logarithmic determinant of the kernel of ReLU patterns",
        "Mellor et al. 2021, 2006.04647, version 3",
    ),
    "epe_nas": Proxy(
        "correlation of the gradients of images within classes", "Lopes et al. 2021, 2102.08099"
    ),
    "zen": Proxy(
        "Gaussian complexity of the features, with batch normalisation's scales",
        "Lin et al. 2021, 2102.01063",
    ),
    "plain": Proxy("weight times gradient, summed", "Abdelfattah et al. 2021, 2101.08134"),
    "ntk": Proxy(
        "condition number of the neural tangent kernel",
        "Chen et al. 2021, 2102.11535",
        maximize=False,
    ),
    "linear_regions": Proxy(
        "how many linear regions the images lie in", "Chen et al. 2021, 2102.11535"
    ),
}
"""All proxies by name; ``nasbench_lab.trainer.proxies`` computes them."""


def score_column(proxy: str) -> str:
    """The name of the column with a proxy's scores."""
    return f"proxy_{proxy}"


def seconds_column(proxy: str) -> str:
    """The name of the column with the seconds that a proxy's scores took."""
    return f"proxy_{proxy}_time"


def proxy_columns(proxy: str, dataset: str, seed: int, batch: str) -> tuple[Column, Column]:
    """The columns of a proxy: its scores, and the seconds that they took.

    Args:
        proxy: The proxy's name.
        dataset: The data set whose images were used.
        seed: The seed of the initial weights, and of the images.
        batch: The images, in words.
    """
    what = PROXIES[proxy]
    about = f"{what.about} ({what.paper}); of the network with the initial weights of seed {seed}"
    scores = Column(
        score_column(proxy),
        SCORE,
        "1",
        what.maximize,
        dataset=dataset,
        trials=(seed,),
        description=f"{about}, on {batch}",
    )
    seconds = Column(
        seconds_column(proxy),
        SECONDS,
        "s",
        False,
        dataset=dataset,
        trials=("measured",),
        description=f"seconds of one core for {scores.name}",
    )
    return scores, seconds


def held_proxies(table: Table) -> list[str]:
    """The names of the proxies whose scores a table has, in the order of ``PROXIES``."""
    return [name for name in PROXIES if score_column(name) in table.columns]

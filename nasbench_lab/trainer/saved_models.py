"""Trained models as folders: weights, and all that is needed to build their networks again.

A folder has ``model.json``, and for each seed a file of weights in the format of ``safetensors``, which
holds numbers and nothing else. What a user's function builds is kept with the code of the function, in
the folder ``code``; loading the model executes it only if the caller says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from nasbench_lab.bounded_files import check_regular, errors_of
from nasbench_lab.errors import (
    DataError,
    QueryError,
    TableFileError,
    TrainingError,
    UnsafeFileError,
    short,
)
from nasbench_lab.files import content_checksum, sha256
from nasbench_lab.guard import kept_generators
from nasbench_lab.spaces import Architecture, ChainSpace, SearchSpace, get_space
from nasbench_lab.trainer.benchmark import TrainingBenchmark
from nasbench_lab.trainer.built import is_built, network_by, own_network
from nasbench_lab.trainer.chain import build_chain
from nasbench_lab.trainer.checkpoints import read_checkpoint
from nasbench_lab.trainer.data import image_array
from nasbench_lab.trainer.datasets import SPLITS
from nasbench_lab.trainer.entries import write_entry
from nasbench_lab.trainer.model_file import (
    ABOUT,
    FORMAT,
    About,
    Builder,
    Seed,
    Shown,
    Widths,
    read_about,
)
from nasbench_lab.trainer.networks import build_network
from nasbench_lab.trainer.training import Training, choose_device, trained_as, training_key
from nasbench_lab.user_code.code import Code
from nasbench_lab.user_code.functions import FileFunction, TakenFunction, taken_function

CODE = "code"
"""The folder of a user's code."""

_BATCH = 512
"""Images that a network sees at once."""

_DEPENDS_ON = "architecture, recipe, data, seed"


@dataclass(frozen=True, eq=False)
class SavedModel:
    """A trained network, ready to classify.

    Args:
        network: From ``(n, channels, height, width)`` normalised images to ``(n, classes)`` scores,
            in evaluation mode.
        seed: The seed that it was trained with.
        about: What is known of it.
    """

    network: nn.Module
    seed: int
    about: About

    def scores(self, images: Any) -> NDArray[np.float32]:
        """``(n, classes)`` scores, not normalised; the softmax of them are probabilities.

        Args:
            images: ``(n, height, width, channels)`` or ``(n, height, width)`` images or ``(n, length)``
                signals in the unit of the training data, which are normalised here.

        Raises:
            DataError: They are not such, or of another shape than the training data.
        """
        array = image_array(images, "the images")
        if array.shape[1:] != self.about.images.shape:
            raise DataError(
                f"Expected images of the shape {self.about.images.shape} (height, width, channels) "
                f"but got {array.shape[1:]}."
            )
        device = next(self.network.parameters()).device
        mean, std = (torch.tensor(v) for v in (self.about.images.mean, self.about.images.std))
        scores = []
        with torch.inference_mode():
            for first in range(0, len(array), _BATCH):
                pixels = torch.from_numpy(array[first : first + _BATCH]).float()
                x = ((pixels - mean) / std).permute(0, 3, 1, 2).to(device)
                given = self.network(x).float()
                scores.append(given.view(-1, self.about.images.classes).cpu().numpy())
        return np.concatenate(scores)

    def predict(self, images: Any) -> NDArray[np.int64]:
        """``(n,)`` the class of each image; arguments as of ``scores``."""
        answers: NDArray[np.int64] = self.scores(images).argmax(axis=1)
        return answers


def load_model(
    folder: Path | str,
    *,
    seed: int | None = None,
    run_code: bool = False,
    build: str | Callable[..., Any] | None = None,
    device: str = "cpu",
) -> SavedModel:
    """Loads a model that ``nasbench-lab search`` saved.

    Nothing in the folder is executed, unless a user's function builds the network and ``run_code``
    says so.

    Args:
        folder: The folder.
        seed: Of which training; by default the one with the best validation accuracy.
        run_code: Whether the code in the folder, if the network is built by any, may be executed. Read
            it before: it may do anything.
        build: The function that builds the network, or ``path/to/file.py:NAME`` of one, in the place of
            the code in the folder.
        device: ``cpu``, ``cuda``, …

    Raises:
        MissingSourceError: There is no model.
        TableFileError: It is damaged, or its weights do not fit its network.
        UnsafeFileError: Code would have to be executed, and nobody said that it may.
        QueryError: There is no such seed.
        AlgorithmFileError: The user's code cannot be executed.
        TrainingError: The user's function fails, or there is no such device.

    Example:
        >>> load_model("results/search/models/best").predict(images)  # doctest: +SKIP
    """
    folder, where = Path(folder), choose_device(device)
    about = read_about(folder)
    chosen = about.chosen if seed is None else seed
    entry = next((one for one in about.seeds if one.seed == chosen), None)
    if entry is None:
        seeds = ", ".join(str(one.seed) for one in about.seeds)
        raise QueryError(f"Expected one of the seeds {seeds} of {folder} but got {chosen}.")
    file = weights_file(folder, chosen)
    with errors_of(file):
        check_regular(file)
        if sha256(file) != entry.weights:
            raise TableFileError("it has changed since it was written. Put back a copy")
        weights = load_file(file)
    function = None
    if about.build is not None:
        function = taken_function(build) if build is not None else _code(folder, about, run_code)
    network = _network(about, function, folder / ABOUT)
    check_fit(weights, network.state_dict(), file)
    # What lies on the device "meta" has no values that could be overwritten.
    network.load_state_dict(weights, assign=function is None)
    network.eval().requires_grad_(False)
    return SavedModel(network.to(where), chosen, about)


def weights_file(folder: Path, seed: int) -> Path:
    """Where the weights of a seed are."""
    return folder / f"weights-{seed}.safetensors"


def check_fit(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor], file: Path) -> None:
    """Refuses weights that are not those of a network.

    Raises:
        TableFileError: Names, shapes or types differ; the message says the first.
    """
    for name in dict.fromkeys((*expected, *weights)):
        here, there = (_form(tensors.get(name)) for tensors in (weights, expected))
        if here != there:
            raise TableFileError(
                f"{file} does not fit the network: expected {short(name)} to be {there} but got "
                f"{here}. Put back a copy, or the code that built the network."
            )


def _form(tensor: Tensor | None) -> str:
    if tensor is None:
        return "absent"
    return f"{str(tensor.dtype).removeprefix('torch.')} of shape {tuple(tensor.shape)}"


def _network(about: About, build: TakenFunction | None, file: Path) -> nn.Module:
    """The network without its weights: what is ours takes no memory for them."""
    images = about.images
    if build is not None:
        what = f"for {about.text} of {about.space!r}"
        return network_by(build, about.architecture, images.shape, images.classes, 0, what)
    with errors_of(file), kept_generators(), torch.device("meta"):
        if about.chain is not None:
            chains = ChainSpace(about.space, about.chain.filters, about.chain.units)
            return build_chain(
                chains, chains.validate(about.architecture), images.shape, images.classes
            )
        space = get_space(about.space)
        if is_built(space, None):
            return own_network(
                space, about.architecture, images.shape, images.classes, about.recipe.skeleton
            )
        return build_network(
            space,
            about.architecture,
            classes=images.classes,
            image_channels=images.shape[2],
            skeleton=about.recipe.skeleton,
            signals=images.shape[0] == 1,
        )


def _code(folder: Path, about: About, run_code: bool) -> TakenFunction:
    """The function in the folder's code.

    Raises:
        UnsafeFileError: It must not be executed, or is not there.
        TableFileError: It has changed.
    """
    assert about.build is not None
    function, module = about.build.function, about.build.module
    if module is None:
        raise UnsafeFileError(
            f"The network in {folder} is built by {function}, which was given as an object, so its "
            f"code is not in the folder. Give it again: load_model(folder, build={function})."
        )
    file = _place(folder, module)
    if not run_code:
        raise UnsafeFileError(
            f"The network in {folder} is built by code: {function} in {file}. Nothing of it was "
            f"executed. Read it, and if you trust it: load_model(folder, run_code=True); or give a "
            f"function of your own: build=…."
        )
    code = Code.of(file)
    if _checksums(code) != about.build.checksums:
        raise TableFileError(
            f"The code in {folder / CODE} has changed since the model was saved. Put back a copy; or "
            f"name the function: load_model(folder, build='{file}:{function}')."
        )
    return FileFunction(code, function)


def _place(folder: Path, module: str, *, package: bool = False) -> Path:
    """The file of a module in the folder's code."""
    path = folder.joinpath(CODE, *module.split("."))
    return path / "__init__.py" if package else path.with_name(f"{path.name}.py")


def _checksums(code: Code) -> dict[str, str]:
    return {
        source.module: source.sha256
        for source in code.sources
        if source.content is not None and source.sha256 is not None
    }


# How they are made


def model_key(
    benchmark: TrainingBenchmark, architecture: Architecture, seeds: Sequence[int]
) -> str:
    """A checksum of all that the trainings of an architecture depend on."""
    keys = [seed_key(benchmark, architecture, seed) for seed in seeds]
    return content_checksum([FORMAT, keys, benchmark.device.partition(":")[0]])


def seed_key(benchmark: TrainingBenchmark, architecture: Architecture, seed: int) -> str:
    """The key of the training with a seed, as its checkpoint has it."""
    built = trained_as(benchmark.space, architecture, benchmark.recipe, benchmark.build)
    space, recipe, data = benchmark.space, benchmark.recipe, benchmark.data
    return training_key(space, built, recipe, data, (seed,), benchmark.build)


def checkpoint_file(benchmark: TrainingBenchmark, architecture: Architecture, seed: int) -> Path:
    """Where a training that is to be saved has its checkpoint, and at its end its weights."""
    key = seed_key(benchmark, architecture, seed)
    return benchmark.folder / f"{key[:24]}-{benchmark.device.partition(':')[0]}-model.pt"


def write_model(
    folder: Path,
    benchmark: TrainingBenchmark,
    architecture: Architecture,
    trainings: Sequence[Training],
) -> About:
    """Writes a model into a new folder, from the checkpoints at the end of its trainings.

    Args:
        folder: The folder.
        benchmark: What trained it.
        architecture: The architecture.
        trainings: One for each seed, whose checkpoint is where ``checkpoint_file`` says.

    Raises:
        TableFileError: A checkpoint is damaged.
        TrainingError: The network holds something that is no tensor.
    """
    space, data, recipe = benchmark.space, benchmark.data, benchmark.recipe
    built = trained_as(space, architecture, recipe, benchmark.build)
    seeds = []
    for training in trainings:
        (seed,) = training.seeds
        checkpoint = checkpoint_file(benchmark, architecture, seed)
        key = seed_key(benchmark, architecture, seed)
        state = read_checkpoint(checkpoint, key, _DEPENDS_ON)
        if state is None:
            raise TableFileError(f"{checkpoint} has gone. Train again.")
        file = weights_file(folder, seed)
        _write_weights(file, state["network"])
        accuracies = {
            split: float(training.curves[f"{split}_accuracy"][0, -1])
            for split in SPLITS
            if f"{split}_accuracy" in training.curves
        }
        seeds.append(Seed(seed=seed, accuracies=accuracies, weights=sha256(file)))
    ours = benchmark.build is None and isinstance(space, ChainSpace)
    about = About(
        format=FORMAT,
        key=model_key(benchmark, architecture, [one.seed for one in seeds]),
        made_with={"nasbench-lab": version("nasbench-lab"), "torch": torch.__version__},
        space=space.name,
        chain=_widths(space) if ours else None,
        build=None if benchmark.build is None else _keep_code(folder, benchmark.build),
        architecture=built,
        text=space.to_string(built),
        recipe=recipe,
        images=Shown(
            name=data.name,
            checksum=data.checksum,
            shape=data.shape,
            classes=data.classes,
            mean=data.mean,
            std=data.std,
        ),
        seeds=tuple(seeds),
        chosen=max(seeds, key=lambda one: one.accuracies["valid"]).seed,
        parameters=trainings[0].parameters,
        flops=trainings[0].flops,
        device=trainings[0].device,
    )
    write_entry(folder / ABOUT, "model", about.model_dump(mode="json"))
    return about


def _write_weights(file: Path, state: Mapping[str, Any]) -> None:
    """Writes the weights of the one network that a training's state has."""
    weights = {}
    for name, value in state.items():
        name = name.removeprefix("networks.0.")
        if not isinstance(value, Tensor):
            raise TrainingError(
                f"The network keeps {short(name)}, which is no tensor, so it cannot be saved without "
                f"running code when it is loaded. Leave get_extra_state out of its modules."
            )
        weights[name] = value.detach().contiguous().clone()  # no two share memory
    save_file(weights, file)


def _widths(space: SearchSpace) -> Widths:
    """The options that make a space of chains."""
    options = {decision.name: decision.options for decision in space.decisions}
    return Widths.model_validate({"filters": options["filters 1"], "units": options["units 1"]})


def _keep_code(folder: Path, build: TakenFunction) -> Builder:
    """Writes the code of a function, if it came from a file."""
    if not isinstance(build, FileFunction):
        return Builder(function=build.function.__name__, module=None, checksums={})
    for source in build.code.sources:
        if source.content is not None:
            place = _place(folder, source.module, package=source.package)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(source.content)
    return Builder(function=build.name, module=build.code.main, checksums=_checksums(build.code))


class Layer(NamedTuple):
    """A layer of a network.

    Args:
        name: Its name in the network.
        kind: Its class.
        shape: What it gives for one image.
        parameters: How many numbers are trained or kept fixed in it.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int


def layers_of(model: SavedModel) -> list[Layer]:
    """The layers of a network, in the order in which an image goes through them.

    What a network does outside of modules, such as sums, is no layer.
    """
    layers: list[Layer] = []
    names = {module: name for name, module in model.network.named_modules()}

    def note(module: nn.Module, _: object, output: Any) -> None:
        own = sum(parameter.numel() for parameter in module.parameters(recurse=False))
        if own or not any(True for _ in module.children()):
            shape = tuple(getattr(output, "shape", ()))
            layers.append(Layer(names[module], type(module).__name__, shape, own))

    hooks = [module.register_forward_hook(note) for module in names]
    try:
        model.scores(np.zeros((1, *model.about.images.shape), np.float32))
    finally:
        for hook in hooks:
            hook.remove()
    return layers

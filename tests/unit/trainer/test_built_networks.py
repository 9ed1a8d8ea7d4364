"""Networks that functions build: chains and a user's own, their sizes, and how they are trained."""

import math
import pickle
import random
import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest

import nasbench_lab as lab
from nasbench_lab.errors import (
    AlgorithmFileError,
    ExperimentError,
    RecipeError,
    TrainingError,
)
from nasbench_lab.spaces import Decision, SearchSpace, get_space
from nasbench_lab.testing import check_benchmark

torch = pytest.importorskip("torch", reason="training needs PyTorch")
from small_data import short, small_digits
from torch import nn

from nasbench_lab.trainer import benchmark as module
from nasbench_lab.trainer import training as training_module
from nasbench_lab.trainer.benchmark import TrainingBenchmark
from nasbench_lab.trainer.built import built_network, size
from nasbench_lab.trainer.data import image_data
from nasbench_lab.trainer.recipe import RECIPES, Recipe, trained_by
from nasbench_lab.trainer.training import train
from nasbench_lab.user_code.functions import taken_function

pytestmark = pytest.mark.long

SPACE = get_space("chain")
DATA = small_digits()
SIGNALS = image_data(
    {"x_train": np.random.default_rng(0).normal(size=(40, 40)), "y_train": np.arange(40) % 10}
)
CHAIN = SPACE.from_string(
    "conv3-16+max+dense-32 gelu norm dropout=0.5 adam lr=0.01 batch=32 decay=0.0001"
)


def go(space=SPACE, architecture=CHAIN, recipe=None, data=DATA, **options):
    recipe = recipe or short(epochs=2)
    return train(space, architecture, recipe, data, **{"device": "cpu", **options})


def same(a, b):
    return a.curves.keys() == b.curves.keys() and all(
        np.array_equal(a.curves[name], b.curves[name], equal_nan=True) for name in a.curves
    )


# The networks of chains, and their sizes


@pytest.mark.parametrize(
    ("space", "text", "data", "parameters", "operations"),
    [
        (
            "chain",
            "conv3-16+max+dense-32 relu dropout=0.2 sgd lr=0.01 batch=64 decay=0.0",
            DATA,
            # 3 x 3 x 1 weights and a bias for each of 16 filters; 4 x 4 x 16 inputs for each of 32
            # units; 32 for each of 10 classes.
            (9 + 1) * 16 + (256 + 1) * 32 + (32 + 1) * 10,
            9 * 16 * 64 + 256 * 32 + 32 * 10,
        ),
        (
            "chain-signals",
            "conv5-16+avg+conv3-32 gelu norm dropout=0.5 adam lr=0.01 batch=64 decay=0.0",
            SIGNALS,
            # A kernel of 5 weights, and no biases, but the scale and shift of normalisation; 20 values
            # of 16 channels are left by pooling, and 20 x 32 for each of 10 classes.
            (5 + 2) * 16 + (3 * 16 + 2) * 32 + (640 + 1) * 10,
            5 * 16 * 40 + 3 * 16 * 32 * 20 + 640 * 10,
        ),
    ],
)
def test_sizes_counted_by_hand(space, text, data, parameters, operations):
    space = get_space(space)
    training = go(space, space.from_string(text), short(epochs=1), data)
    assert training.parameters == pytest.approx(parameters / 1e6)
    assert training.flops == pytest.approx(operations / 1e6)


@pytest.mark.parametrize("shape", [(8, 8, 1), (7, 5, 3), (1, 40, 1), (1, 1, 1), (16, 1, 2)])
def test_sizes_follow_from_the_decisions(shape):
    height, width, channels = shape
    data = image_data({"x_train": np.ones((20, *shape)), "y_train": np.arange(20) % 2})
    for architecture in map(tuple, SPACE.sample(np.random.default_rng(3), 15).tolist()):
        chosen = SPACE.options(architecture)
        normed = chosen["batch normalisation"] == "yes"
        parameters = operations = 0
        high, wide, deep = height, width, channels
        for i in range(1, 5):
            if chosen[f"block {i}"] == "convolution":
                window = chosen[f"kernel {i}"] ** (1 if height == 1 else 2)
                weights = window * deep * chosen[f"filters {i}"]
                deep = chosen[f"filters {i}"]
                parameters += weights + deep * (2 if normed else 1)
                operations += weights * high * wide
            elif chosen[f"block {i}"] != "nothing":
                high, wide = math.ceil(high / 2), math.ceil(wide / 2)
        features = high * wide * deep
        for i in range(1, chosen["dense layers"] + 1):
            units = chosen[f"units {i}"]
            parameters += features * units + units * (2 if normed else 1)
            operations += features * units
            features = units
        parameters, operations = parameters + (features + 1) * 2, operations + features * 2
        network = built_network(SPACE, architecture, None, data, 0)
        assert size(network, shape) == pytest.approx((parameters / 1e6, operations / 1e6))
        assert network(torch.zeros(3, channels, height, width)).shape == (3, 2)


def test_a_chain_is_made_of_what_it_says():
    layers = [type(layer).__name__ for layer in built_network(SPACE, CHAIN, None, DATA, 0)]
    assert layers == [
        *("Conv2d", "BatchNorm2d", "GELU", "MaxPool2d", "Flatten"),
        *("Dropout", "Linear", "BatchNorm1d", "GELU", "Dropout", "Linear"),
    ]
    # An average of what lies outside would make values at the border smaller.
    text = "avg relu dropout=0.0 sgd lr=0.01 batch=64 decay=0.0"
    pooled = built_network(SPACE, SPACE.from_string(text), None, DATA, 0)[0](torch.ones(1, 1, 5, 5))
    assert torch.equal(pooled, torch.ones(1, 1, 3, 3))


# Their training


def test_the_architecture_decides_how_it_is_trained(monkeypatch):
    made = []
    for kind in (torch.optim.SGD, torch.optim.Adam):

        def noting(parameters, kind=kind, **settings):
            made.append((kind.__name__, settings["lr"], settings["weight_decay"]))
            return kind(parameters, **settings)

        monkeypatch.setattr(torch.optim, kind.__name__, noting)
    sizes = []
    monkeypatch.setattr(
        training_module.Images,
        "batch",
        lambda self, which, *moves, batch=training_module.Images.batch: (
            sizes.append(len(which)),
            batch(self, which, *moves),
        )[1],
    )
    for text, expected in (
        ("sgd lr=0.1 batch=64 decay=0.0", ("SGD", 0.1, 0.0)),
        ("adam lr=0.0003 batch=32 decay=0.01", ("Adam", 0.0003, 0.01)),
    ):
        go(architecture=SPACE.from_string(f"max relu dropout=0.0 {text}"), recipe=short(epochs=1))
        assert made.pop() == expected
        assert sizes[0] == int(text.split("batch=")[1].split()[0])
        sizes.clear()


def test_another_setting_is_another_training():
    first = go()
    for before, after in (
        ("adam", "sgd"),
        ("lr=0.01", "lr=0.03"),
        ("0.0001", "0.01"),
        ("32 ", "64 "),
    ):
        head, _, tail = SPACE.to_string(CHAIN).rpartition(before)
        assert not same(first, go(architecture=SPACE.from_string(f"{head}{after}{tail}")))


def test_the_same_seed_gives_the_same_bits_beside_any_others_and_leaves_generators_alone():
    def states():
        numpy = np.random.get_state()[1]  # noqa: NPY002 (the global generator is what is asked)
        return random.getstate(), numpy.tolist(), torch.get_rng_state().tolist()

    def seed(number):
        random.seed(number)
        np.random.seed(number)  # noqa: NPY002 (likewise)
        torch.manual_seed(number)

    seed(5)
    before = states()
    both, alone = go(seeds=(0, 1)), go(seeds=(1,))
    assert states() == before
    seed(6)
    assert same(both, go(seeds=(0, 1)))
    for name, values in both.curves.items():
        assert (values[1] == alone.curves[name][0]).all()
        assert name.endswith("accuracy") or (values[0] != values[1]).any()


def test_an_interrupted_training_goes_on_to_the_same_end(tmp_path):
    recipe, whole = short(epochs=3), go(recipe=short(epochs=3))
    for done in (1, 2):
        file = tmp_path / f"{done}.pt"
        go(recipe=recipe, epochs=done, checkpoint=file)
        assert same(whole, go(recipe=recipe, checkpoint=file))


def test_isomorphic_chains_are_trained_once(tmp_path, monkeypatch):
    trained = []
    monkeypatch.setattr(
        module,
        "train",
        lambda *a, train=module.train, **o: (trained.append(a[1]), train(*a, **o))[1],
    )
    benchmark = TrainingBenchmark(
        "chain", RECIPES["cifar10"].replace(epochs=1), data=DATA, folder=tmp_path, device="cpu"
    )
    text = SPACE.to_string(CHAIN)
    first = benchmark.evaluate(CHAIN)
    assert benchmark.evaluate(SPACE.from_string(text.replace("+max", "+none+max"))) == first
    assert trained == [CHAIN]


def test_a_last_batch_of_one_image_joins_the_batch_before():
    """Batch normalisation of a dense layer cannot learn from a single image."""
    data = DATA.first(33)
    training = go(data=data, recipe=short(epochs=1))
    assert np.isfinite(training.curves["train_loss"]).all()
    assert training.curves["train_accuracy"][0, 0] * 33 / 100 == pytest.approx(
        round(training.curves["train_accuracy"][0, 0] * 33 / 100)
    )


def test_contract(tmp_path):
    benchmark = TrainingBenchmark(
        "chain", short(epochs=1), data=DATA, folder=tmp_path, device="cpu"
    )
    check_benchmark(benchmark, n=4)


@pytest.mark.parametrize(
    "algorithm", ["regularized_evolution(population_size=3)", "gp_bo(n_initial=3)", "asha"]
)
def test_algorithms_search_chains(algorithm, tmp_path):
    """Nobody is said to have drawn from global generators, which training seeds."""
    traces = []
    for _ in range(2):
        benchmark = TrainingBenchmark(
            "chain", short(epochs=2), data=DATA, folder=tmp_path, device="cpu"
        )
        traces.append(lab.run(algorithm, benchmark, budget=4, seed=1))
    assert traces[0].equals(traces[1])
    assert SPACE.from_string(traces[0].best())


# A user's own space


OWN = SearchSpace(
    "own", [Decision("width", (4, 8), ordered=True), Decision("learning_rate", (0.1, 0.01), True)]
)


class Net(nn.Module):
    def __init__(self, inputs, width, classes):
        super().__init__()
        self.scale = nn.Parameter(torch.rand(1))
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(inputs, width), nn.Dropout(0.5), nn.Linear(width, classes)
        )

    def forward(self, x):
        return self.layers(x) * self.scale * (1 + random.random() + np.random.rand())  # noqa: NPY002 (a user's)


def build(architecture):
    return Net(64, OWN.options(architecture)["width"], 10)


def build_for(architecture, classes, shape):
    return Net(math.prod(shape), 4, classes)


def own(tmp_path, build=build, space=OWN, **options):
    options = {"data": DATA, "device": "cpu", "folder": tmp_path, **options}
    return TrainingBenchmark(space, short(epochs=2), build=build, **options)


def test_own_networks_are_trained_in_the_same_way(tmp_path):
    benchmark = own(tmp_path / "a", seeds=(0, 1))
    training = benchmark.training((1, 0))
    assert training.parameters == pytest.approx((65 * 8 + 9 * 10 + 1) / 1e6)
    assert training.flops == pytest.approx((64 * 8 + 8 * 10) / 1e6)
    assert same(training, own(tmp_path / "b", seeds=(0, 1)).training((1, 0)))
    alone = own(tmp_path / "b", seeds=(1,)).training((1, 0))
    assert (alone.curves["valid_loss"][0] == training.curves["valid_loss"][1]).all()
    # An interruption changes nothing, whatever is drawn from which generator.
    resumed = own(tmp_path / "c", seeds=(0, 1))
    resumed.training((1, 0), epochs=1)
    assert same(training, own(tmp_path / "c", seeds=(0, 1)).training((1, 0)))
    copy = pickle.loads(pickle.dumps(benchmark))
    assert same(training, copy.training((1, 0)))
    check_benchmark(own(tmp_path / "d"), n=3)


def test_a_function_is_told_shape_and_classes_if_it_asks(tmp_path):
    training = own(tmp_path, build_for, data=SIGNALS).training((0, 0))
    assert training.parameters == pytest.approx((41 * 4 + 5 * 10 + 1) / 1e6)


def test_decisions_named_after_settings_set_them():
    recipe = Recipe(data="digits")
    assert trained_by(OWN, (0, 1), recipe) == recipe.replace(lr=0.01)
    assert trained_by(get_space("nb201"), (0,) * 6, recipe) is recipe
    settings = {
        "Optimizer": "adam",
        "lr": 0.2,
        "batch-size": 7,
        "weight_decay": 0.0,
        "momentum": 0.5,
        "label smoothing": 0.1,
    }
    space = SearchSpace("s", [Decision(name, (option,)) for name, option in settings.items()])
    assert trained_by(space, (0,) * 6, recipe) == recipe.replace(
        optimizer="adam", lr=0.2, batch_size=7, weight_decay=0.0, momentum=0.5, label_smoothing=0.1
    )
    for name, option in (("optimiser", "lion"), ("learning rate", 0), ("batch size", 1.5)):
        wrong = SearchSpace("s", [Decision(name, (option,))])
        with pytest.raises(RecipeError, match="cannot be trained") as error:
            trained_by(wrong, (0,), recipe)
        assert repr(option) in str(error.value)


def test_what_was_kept_of_another_network_is_not_taken(tmp_path):
    """Neither of another function, nor of options that changed, nor of values outside of it."""
    width = 4

    def of_width(architecture):
        return Net(64, width, 10)

    first = own(tmp_path, of_width).training((0, 0))
    width = 8
    second = own(tmp_path, of_width).training((0, 0))
    assert first.parameters != second.parameters
    assert own(tmp_path).training((0, 0)).parameters == first.parameters
    assert len(list(tmp_path.glob("*.json"))) == 3
    wider = SearchSpace("own", [Decision("width", (5, 8)), OWN.decisions[1]])
    own(tmp_path, build_for, space=wider).training((0, 0))
    own(tmp_path, build_for).training((0, 0))
    assert len(list(tmp_path.glob("*.json"))) == 5


def test_a_network_that_is_returned_again_begins_as_it_was(tmp_path):
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    benchmark = own(tmp_path, lambda architecture: net)
    first, second = benchmark.training((0, 0)), benchmark.training((1, 0))
    assert same(first, second)
    wrong = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).requires_grad_(False)
    with pytest.raises(TrainingError, match="no parameters to train"):
        own(tmp_path, lambda architecture: wrong).training((0, 0))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (
            lambda a: None,
            "Expected build to return a torch.nn.Module for 4:0.1 of 'own', but got None",
        ),
        (lambda a: a["width"], r"build failed for 4:0.1 of 'own': TypeError: tuple indices"),
        (lambda a: nn.Linear(9, 10), r"fails on images of shape \(n, 1, 8, 8\).*RuntimeError"),
        (
            lambda a: nn.Sequential(nn.Flatten(), nn.Linear(64, 3)),
            r"scores of shape \(n, 10\), one for each class, but got \(2, 3\).*End it with",
        ),
        (lambda a, width: None, "missing 1 required positional argument: 'width'"),
    ],
)
def test_a_function_that_builds_no_such_network_is_refused(wrong, words, tmp_path):
    with pytest.raises(TrainingError, match=words):
        own(tmp_path, wrong).evaluate((0, 0))


def test_spaces_without_networks_are_refused(tmp_path):
    for space in ("fcnet", OWN):
        with pytest.raises(TrainingError, match=r"no networks of the space.*nb201.*chain.*build\("):
            TrainingBenchmark(space, short(), data=DATA, folder=tmp_path)


def test_only_functions_are_functions(tmp_path):
    for wrong in ("build", "net.txt:build", ":", 3, OWN):
        with pytest.raises(AlgorithmFileError, match=r"Expected a function.*path/to/file.py:NAME"):
            taken_function(wrong)
    file = tmp_path / "net.py"
    with pytest.raises(AlgorithmFileError, match="Cannot read"):
        taken_function(f"{file}:build")
    file.write_text("def make(architecture): ...\nbuild = 3\n")
    with pytest.raises(AlgorithmFileError, match=r"function 'build', but it defines make\."):
        taken_function(f"{file}:build")
    first = taken_function(f"{file}:make")
    assert pickle.loads(pickle.dumps(first)) == first
    file.write_text("def make(architecture): return 1\n")
    assert taken_function(f"{file}:make").checksums != first.checksums


def compared(benchmark, folder):
    return lab.compare(["random_search"], benchmark, budget=3, seeds=2, n_jobs=1, folder=folder)


def test_a_comparison_does_not_go_on_with_other_networks_or_data(tmp_path):
    kept, folder = tmp_path / "kept", tmp_path / "r"
    result = compared(own(kept), folder)
    assert result.runs[0].trace.equals(compared(own(kept), folder).runs[0].trace)
    with pytest.raises(ExperimentError, match=r"attributes networks"):
        compared(own(kept, build_for), folder)
    compared(own(kept, build_for, data=SIGNALS), tmp_path / "s")
    other = replace(SIGNALS, labels={split: y[::-1] for split, y in SIGNALS.labels.items()})
    with pytest.raises(ExperimentError, match=r"attributes images"):
        compared(own(kept, build_for, data=other), tmp_path / "s")


IN_PROCESSES = """
import sys
import nasbench_lab as lab
from nasbench_lab import Decision, SearchSpace
from nasbench_lab.trainer import RECIPES, TrainingBenchmark
import helper

space = SearchSpace("mine", [Decision("width", (4, 8))])


def build(architecture):
    return helper.net(space.options(architecture)["width"])


if __name__ == "__main__":
    recipe = RECIPES["digits"].replace(epochs=1)
    traces = []
    for n_jobs, function in ((1, build), (2, build), (2, "file.py:build")):
        benchmark = TrainingBenchmark(space, recipe, build=function, device="cpu")
        result = lab.compare(["random_search"], benchmark, budget=2, seeds=2, n_jobs=n_jobs)
        traces.append([run.trace for run in result.runs])
    print(all(one.equals(two) for more in traces for one, two in zip(traces[0], more, strict=True)))
"""


@pytest.mark.slow  # in other processes; test_own_networks_are_trained_in_the_same_way sends a copy
def test_other_processes_build_the_same_networks(tmp_path):
    (tmp_path / "main.py").write_text(IN_PROCESSES)
    (tmp_path / "file.py").write_text(
        "import helper\n\n\ndef build(architecture):\n"
        "    return helper.net((4, 8)[architecture[0]])\n"
    )
    (tmp_path / "helper.py").write_text(
        "from torch import nn\n\n\ndef net(width):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.Linear(width, 10))\n"
    )
    command = [sys.executable, "-W", "error::UserWarning", "main.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "True\n", done.stderr


# Recipes


def test_recipes_without_the_usual_optimizer_are_those_of_before():
    """Kept trainings and tables of earlier versions are found by them."""
    recipe = RECIPES["digits"]
    assert "optimizer" not in recipe.model_dump()
    assert recipe.key.startswith("3b267f50cb23")
    assert recipe.replace(optimizer="adam").key != recipe.key
    assert recipe.replace(optimizer="adam").replace(lr=0.2).optimizer == "adam"
    with pytest.raises(RecipeError, match="optimizer: Input should be 'sgd' or 'adam'"):
        recipe.replace(optimizer="lion")


def test_no_warning_is_left(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        own(tmp_path, seeds=(0, 1)).evaluate((0, 0))

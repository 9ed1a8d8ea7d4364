"""Models as folders: what is loaded is what was trained, and nothing in a folder is trusted."""

import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

import nasbench_lab as lab
import nasbench_lab.trainer
from nasbench_lab import Decision, SearchSpace
from nasbench_lab.errors import (
    DataError,
    MissingPackageError,
    MissingSourceError,
    QueryError,
    TableFileError,
    TrainingError,
    UnsafeFileError,
)
from nasbench_lab.files import content_checksum, sha256

torch = pytest.importorskip("torch", reason="training needs PyTorch")
pytest.importorskip("safetensors", reason="models need safetensors")
from safetensors.torch import load_file, save_file
from small_data import short, small_digits

from nasbench_lab.spaces import ChainSpace, get_space
from nasbench_lab.trainer import model_file
from nasbench_lab.trainer.benchmark import TrainingBenchmark
from nasbench_lab.trainer.saved_models import checkpoint_file, layers_of, write_model
from nasbench_lab.trainer.training import train

pytestmark = pytest.mark.long

DATA = small_digits()
RECIPE = short(epochs=2)
NARROW = ChainSpace("narrow", filters=(2, 4), units=(5, 8))
CHAIN = NARROW.from_string(
    "conv3-4+max+dense-8 tanh norm dropout=0.2 adam lr=0.003 batch=64 decay=0.0"
)
MINE = SearchSpace("mine", [Decision("width", (3, 6), ordered=True)])
OWN = """
from pathlib import Path

from torch import nn

from .sizes import WIDTHS

Path(__file__).with_name("was run").touch()


class Tied(nn.Module):
    def __init__(self, width, classes):
        super().__init__()
        self.first = nn.Linear(64, width)
        self.second = nn.Linear(64, width)
        self.second.weight = self.first.weight
        self.last = nn.Linear(width, classes)
        self.register_buffer("scale", __import__("torch").tensor(0.5))

    def forward(self, x):
        x = x.flatten(1)
        return self.last((self.first(x) + self.second(x)).relu() * self.scale)


def build(architecture, classes):
    return Tied(WIDTHS[architecture[0]], classes)
"""


def saved(folder, space, architecture, *, build=None, seeds=(3, 5), data=DATA, recipe=RECIPE):
    """A benchmark, and the trainings whose model lies in the folder."""
    benchmark = TrainingBenchmark(
        space, recipe, data=data, build=build, device="cpu", folder=folder.parent / "kept"
    )
    trainings = [
        train(
            benchmark.space,
            architecture,
            benchmark.recipe,
            data,
            build=benchmark.build,
            seeds=(seed,),
            device="cpu",
            checkpoint=checkpoint_file(benchmark, architecture, seed),
        )
        for seed in seeds
    ]
    folder.mkdir()
    write_model(folder, benchmark, architecture, trainings)
    return benchmark, trainings


def accuracy(model, split):
    return 100.0 * (model.predict(DATA.images[split]) == DATA.labels[split]).mean()


def check_values(folder, trainings, **options):
    """The loaded networks answer as those that were trained did at their end."""
    for training in trainings:
        model = lab.load_model(folder, seed=training.seeds[0], **options)
        for split in ("valid", "test"):
            was = training.curves[f"{split}_accuracy"][0, -1]
            assert accuracy(model, split) == pytest.approx(was)
    best = max(trainings, key=lambda one: one.curves["valid_accuracy"][0, -1])
    assert lab.load_model(folder, **options).seed == best.seeds[0]


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chain") / "model"
    return folder, saved(folder, NARROW, CHAIN)[1]


@pytest.fixture
def folder(chain, tmp_path):
    """A copy to spoil."""
    return Path(shutil.copytree(chain[0], tmp_path / "model"))


@pytest.fixture
def own(tmp_path):
    """The model of a user's function in a package, whose files have gone since."""
    package = tmp_path / "code" / "mine"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "sizes.py").write_text("WIDTHS = (3, 6)\n")
    (package / "nets.py").write_text(OWN)
    folder = tmp_path / "model"
    _, trainings = saved(folder, MINE, (1,), build=f"{package / 'nets.py'}:build", seeds=(0,))
    shutil.rmtree(tmp_path / "code")
    return folder, trainings


def test_a_chain_of_options_of_one_s_own(chain):
    check_values(*chain)


@pytest.mark.parametrize(
    ("space", "architecture"), [("nb201", (1, 3, 0, 1, 0, 2)), ("nats-sss", (0, 1, 0, 2, 1))]
)
def test_published_networks(tmp_path, space, architecture):
    _, trainings = saved(
        tmp_path / "model", space, architecture, seeds=(0,), recipe=short(epochs=1)
    )
    check_values(tmp_path / "model", trainings)


@pytest.mark.slow  # its cells take seconds; in short they are what chains and nb201 are
def test_networks_of_darts(tmp_path):
    data, cells = DATA.first(24), get_space("darts").sample(np.random.default_rng(0))
    _, (training,) = saved(
        tmp_path / "model", "darts", cells, seeds=(0,), data=data, recipe=short(epochs=1)
    )
    answers = lab.load_model(tmp_path / "model").predict(data.images["test"])
    was = training.curves["test_accuracy"][0, -1]
    assert 100 * (answers == data.labels["test"]).mean() == pytest.approx(was)


def test_signals(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    signals = rng.normal(size=(40, 12)) + labels[:, None]
    chain = get_space("chain-signals").sample(rng)
    arrays = {"x_train": signals, "y_train": labels, "x_test": signals, "y_test": labels}
    benchmark = TrainingBenchmark("chain-signals", RECIPE, data=arrays, device="cpu")
    _, (training,) = saved(
        tmp_path / "model", "chain-signals", chain, seeds=(0,), data=benchmark.data
    )
    model = lab.load_model(tmp_path / "model")
    assert 100 * (model.predict(signals) == labels).mean() == pytest.approx(
        training.curves["test_accuracy"][0, -1]
    )


def test_what_it_gives(chain):
    model = lab.load_model(chain[0])
    images = DATA.images["test"]
    scores = model.scores(images)
    assert scores.shape == (len(images), 10)
    assert scores.dtype == np.float32
    np.testing.assert_array_equal(scores.argmax(1), model.predict(images))
    grey = images[..., 0].astype(float)
    np.testing.assert_array_equal(model.scores(grey), scores)
    with pytest.raises(DataError, match=r"Expected images of the shape \(8, 8, 1\).*\(8, 4, 1\)"):
        model.predict(images[:, :, :4])
    assert not any(parameter.requires_grad for parameter in model.network.parameters())
    for name, tensor in model.network.state_dict().items():
        assert tensor.device.type == "cpu", name


def test_layers(chain):
    model = lab.load_model(chain[0])
    layers = layers_of(model)
    assert [layer.kind for layer in layers] == [
        *("Conv2d", "BatchNorm2d", "Tanh", "MaxPool2d", "Flatten"),
        *("Dropout", "Linear", "BatchNorm1d", "Tanh", "Dropout", "Linear"),
    ]
    assert layers[0][2:] == ((1, 4, 8, 8), 4 * 9)
    assert layers[-1][2:] == ((1, 10), 8 * 10 + 10)
    assert sum(layer.parameters for layer in layers) == pytest.approx(model.about.parameters * 1e6)


def test_a_user_s_code_is_kept_and_run_on_purpose_only(own):
    folder, trainings = own
    ran = folder / "code" / "mine" / "was run"
    with pytest.raises(UnsafeFileError, match=r"nets\.py.*Nothing of it was executed.*run_code"):
        lab.load_model(folder)
    assert not ran.exists()
    check_values(folder, trainings, run_code=True)
    assert ran.exists()


def test_a_user_s_code_that_changed_is_not_run(own):
    folder, _ = own
    file = folder / "code" / "mine" / "sizes.py"
    file.write_text("WIDTHS = (3, 7)\n")
    with pytest.raises(TableFileError, match="has changed since the model was saved"):
        lab.load_model(folder, run_code=True)
    assert not (folder / "code" / "mine" / "was run").exists()
    named = f"{folder / 'code' / 'mine' / 'nets.py'}:build"
    with pytest.raises(TableFileError, match=r"first\.weight to be float32 of shape \(7, 64\)"):
        lab.load_model(folder, build=named)


def build_small(architecture, shape, classes):
    height, width, _ = shape
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(height * width, classes))


def test_a_function_that_was_given_is_given_again(tmp_path):
    _, trainings = saved(tmp_path / "model", MINE, (0,), build=build_small, seeds=(0,))
    with pytest.raises(UnsafeFileError, match="build_small, which was given as an object"):
        lab.load_model(tmp_path / "model", run_code=True)
    check_values(tmp_path / "model", trainings, build=build_small)


class Secretive(torch.nn.Linear):
    def get_extra_state(self):
        return {"anything": 1}

    def set_extra_state(self, state):
        pass


def test_what_is_no_tensor_is_not_saved(tmp_path):
    def build(architecture):
        return torch.nn.Sequential(torch.nn.Flatten(), Secretive(64, 10))

    with pytest.raises(TrainingError, match=r"keeps 1\._extra_state, which is no tensor"):
        saved(tmp_path / "model", MINE, (0,), build=build, seeds=(0,))


def test_there_is_no_such_model_or_seed(folder, tmp_path):
    with pytest.raises(MissingSourceError, match=r"no model in .*Did you mean 'model'"):
        lab.load_model(tmp_path / "modal")
    with pytest.raises(QueryError, match=r"one of the seeds 3, 5 of .* but got 4"):
        lab.load_model(folder, seed=4)
    with pytest.raises(TrainingError, match="Device 'abacus' cannot be used"):
        lab.load_model(folder, device="abacus")


def test_what_is_missing_is_named(monkeypatch):
    find = nasbench_lab.trainer.find_spec
    monkeypatch.setattr(
        nasbench_lab.trainer,
        "find_spec",
        lambda name: None if name == "safetensors" else find(name),
    )
    with pytest.raises(
        MissingPackageError, match=r"safetensors: pip install 'nasbench-lab\[train\]'"
    ):
        _ = lab.load_model


class Evil:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def about(folder, **changes):
    """Changes what a folder says of itself, with the checksum that fits."""
    file = folder / "model.json"
    content = json.loads(file.read_text())
    del content["checksum"]
    content.update(changes)
    content["checksum"] = content_checksum(content)
    file.write_text(json.dumps(content))


def claimed(folder):
    """Lets a folder claim that its weights are as they should be."""
    content = json.loads((folder / "model.json").read_text())
    for seed in content["seeds"]:
        seed["weights"] = sha256(folder / f"weights-{seed['seed']}.safetensors")
    about(folder, seeds=content["seeds"])


def weights(folder):
    return (
        folder / f"weights-{json.loads((folder / 'model.json').read_text())['chosen']}.safetensors"
    )


@pytest.mark.parametrize("signed", [False, True])
def test_a_pickle_in_the_place_of_weights(folder, tmp_path, signed):
    weights(folder).write_bytes(pickle.dumps(Evil(tmp_path / "evil")))
    if signed:
        claimed(folder)
    with pytest.raises(TableFileError, match="weights-"):
        lab.load_model(folder)
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("length", [0, 7, 100, -1])
def test_weights_that_are_cut_off(folder, length, signed):
    weights(folder).write_bytes(weights(folder).read_bytes()[:length])
    if signed:
        claimed(folder)
    with pytest.raises(TableFileError, match="weights-"):
        lab.load_model(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda w: w.pop("0.weight"), "expected 0.weight to be float32 of shape .* but got absent"),
        (lambda w: w.update(more=torch.zeros(2)), "expected more to be absent but got float32"),
        (lambda w: w.update({"0.weight": torch.zeros(1)}), r"but got float32 of shape \(1,\)"),
        (
            lambda w: w.update({"0.weight": w["0.weight"].double()}),
            r"but got float64 of shape \(4, 1, 3, 3\)",
        ),
    ],
)
def test_weights_that_do_not_fit(folder, change, words):
    tensors = load_file(weights(folder))
    change(tensors)
    save_file(tensors, weights(folder))
    claimed(folder)
    with pytest.raises(TableFileError, match=words):
        lab.load_model(folder)


def test_a_network_too_large_for_any_memory_is_refused(folder):
    # If it had memory for its weights, this would end the process.
    about(folder, chain={"filters": [2, 10**6], "units": [5, 10**9]})
    with pytest.raises(TableFileError, match="does not fit the network"):
        lab.load_model(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 2},
        {"architecture": [99] * 22},
        {"architecture": []},
        {"chain": {"filters": [], "units": []}},
        {"chain": None},
        {"chain": None, "space": "no such space"},
        {"images": {}},
        {"seeds": []},
        {"key": 1},
        {"anything": 1},
        {"build": {"function": "f", "module": "../evil", "checksums": {}}},
        {"build": {"function": "f", "module": "/evil", "checksums": {}}},
    ],
)
def test_what_is_said_of_a_model_is_checked(folder, changes):
    about(folder, **changes)
    with pytest.raises(
        (TableFileError, QueryError), match=r"model\.json|Expected one of the seeds"
    ):
        lab.load_model(folder, run_code=True)


def test_code_that_nobody_saved_is_not_run(folder, tmp_path):
    (folder / "code").mkdir()
    evil = tmp_path / "evil"
    (folder / "code" / "nets.py").write_text(f"import os\nos.mkdir({str(evil)!r})\nbuild = print")
    about(folder, build={"function": "build", "module": "nets", "checksums": {}})
    with pytest.raises(UnsafeFileError, match="Nothing of it was executed"):
        lab.load_model(folder)
    with pytest.raises(TableFileError, match="has changed"):
        lab.load_model(folder, run_code=True)
    assert not evil.exists()


def test_a_changed_file_is_told(folder):
    file = folder / "model.json"
    file.write_text(file.read_text().replace('"narrow"', '"chain"'))
    with pytest.raises(TableFileError, match=r"model\.json.*has changed since it was written"):
        lab.load_model(folder)


def test_what_is_no_file_is_not_read(folder, monkeypatch):
    os.remove(weights(folder))
    os.mkfifo(weights(folder))
    with pytest.raises(TableFileError, match="device, a pipe or a socket"):
        lab.load_model(folder)
    monkeypatch.setattr(model_file, "_MOST", 10)
    with pytest.raises(TableFileError, match="more than 10 bytes"):
        lab.load_model(folder)

"""A part of the digits, and a short recipe: a training takes a few hundredths of a second."""

from nasbench_lab.trainer.datasets import ImageData, load_data
from nasbench_lab.trainer.recipe import Recipe

SIZES = {"train": 96, "valid": 48, "test": 40}


def small_digits():
    digits = load_data("digits")
    return ImageData(
        "digits",
        {split: digits.images[split][:n] for split, n in SIZES.items()},
        {split: digits.labels[split][:n] for split, n in SIZES.items()},
        10,
        digits.mean,
        digits.std,
    )


def short(**changes):
    settings = {
        "data": "digits",
        "skeleton": "tiny",
        "epochs": 3,
        "batch_size": 40,
        "shift": 1,
        "flip": 0.0,
    }
    return Recipe(**{**settings, **changes})


def maker(folder):
    """Makes benchmarks that train on the small data on the CPU, and keep trainings in a folder."""
    from nasbench_lab.trainer.benchmark import TrainingBenchmark  # which needs PyTorch

    def make(recipe=None, **options):
        options = {"data": small_digits(), "device": "cpu", "folder": folder, **options}
        return TrainingBenchmark("nb201", recipe or short(), **options)

    return make


def trainings_done(monkeypatch, module):
    """The first and last epoch of each training that a module really does from now on."""
    done = []

    def counting(*arguments, **options):
        seen = []
        result = train(*arguments, **{**options, "progress": lambda d, _: seen.append(d)})
        done.append((seen[0], seen[-1]))
        return result

    train = module.train
    monkeypatch.setattr(module, "train", counting)
    return done

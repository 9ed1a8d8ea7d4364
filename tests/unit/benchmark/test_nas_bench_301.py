"""NAS-Bench-301: small models, trained and saved with the real libraries in the published layout."""

import collections
import json
import os
import pickle

import numpy as np
import pytest

from nasbench_lab.benchmark.nas_bench_301 import (
    HYPERPARAMETERS,
    Ensemble,
    NASBench301,
    architecture_of,
    features,
    settings_of,
)
from nasbench_lab.compat.nasbench301 import download_models, load_ensemble
from nasbench_lab.errors import (
    InvalidArchitectureError,
    MissingPackageError,
    QueryError,
    TableFileError,
    UnsafeFileError,
)
from nasbench_lab.spaces import get_space

SPACE = get_space("darts")
PREFIX = "NetworkSelectorDatasetInfo:darts:"
Genotype = collections.namedtuple("Genotype", "normal normal_concat reduce reduce_concat")
DARTS_V2 = Genotype(
    normal=[
        *[("sep_conv_3x3", 0), ("sep_conv_3x3", 1), ("sep_conv_3x3", 0), ("sep_conv_3x3", 1)],
        *[("sep_conv_3x3", 1), ("skip_connect", 0), ("skip_connect", 0), ("dil_conv_3x3", 2)],
    ],
    normal_concat=[2, 3, 4, 5],
    reduce=[
        *[("max_pool_3x3", 0), ("max_pool_3x3", 1), ("skip_connect", 2), ("max_pool_3x3", 1)],
        *[("max_pool_3x3", 0), ("skip_connect", 2), ("skip_connect", 2), ("max_pool_3x3", 1)],
    ],
    reduce_concat=[2, 3, 4, 5],
)


def learned():
    """Architectures, their features, and accuracies that depend on them."""
    architectures = SPACE.sample(np.random.default_rng(0), 60)
    x = np.array([features(tuple(one)) for one in architectures.tolist()])
    return architectures, x, 90 + x[:, [HYPERPARAMETERS.index(f"{PREFIX}edge_normal_0")]].ravel()


def boosters(kind, n=3):
    _, x, y = learned()
    if kind.startswith("xgb"):
        xgboost = pytest.importorskip("xgboost")
        settings = {"max_depth": 3, "base_score": 90.0, "nthread": 1, "subsample": 0.7}
        return [
            xgboost.train({**settings, "seed": i}, xgboost.DMatrix(x, label=y), 8) for i in range(n)
        ]
    lightgbm = pytest.importorskip("lightgbm")
    settings = {"num_leaves": 4, "min_data_in_leaf": 2, "verbose": -1, "num_threads": 1}
    settings |= {"bagging_fraction": 0.7, "bagging_freq": 1}
    return [
        lightgbm.train({**settings, "seed": i}, lightgbm.Dataset(x, label=y), 8) for i in range(n)
    ]


@pytest.fixture
def published(tmp_path):
    """Writes an ensemble as the authors' code does, and returns its folder and its models."""

    def published(kind="xgb", protocol=3, models=None):
        models = boosters(kind) if models is None else models
        folder = tmp_path / f"{kind}_v1.0"
        for i, model in enumerate(models):
            member = folder / f"ensemble_member_{i}"
            member.mkdir(parents=True)
            with open(member / "surrogate_model.model", "wb") as file:
                pickle.dump(model, file, protocol=protocol)
            (member / "model_config.json").write_text(json.dumps({"model": kind, "param:eta": 1}))
            (member / "data_config.json").write_text(json.dumps({"seed": 6}))
        return folder, models

    return published


def predicted(kind, models, x):
    if kind.startswith("xgb"):
        import xgboost

        return np.array([model.predict(xgboost.DMatrix(x)) for model in models])
    return np.array([model.predict(x) for model in models])


# Features


def test_features_have_the_order_of_the_published_configuration_space():
    assert len(HYPERPARAMETERS) == 22 + 28 + 6
    roots, conditional = HYPERPARAMETERS[:32], HYPERPARAMETERS[32:]
    assert list(roots) == sorted(roots)
    assert list(conditional) == sorted(conditional)
    assert roots[0] == "CreateImageDataLoader:batch_size"
    assert conditional[:3] == tuple(f"{PREFIX}edge_normal_{i}" for i in (10, 11, 12))
    assert not any("edge_normal_2" in name for name in roots)


def test_settings_of_a_published_genotype():
    architecture = SPACE.from_string(str(DARTS_V2))
    chosen = settings_of(architecture)
    assert chosen[f"{PREFIX}edge_normal_0"] == "sep_conv_3x3"
    assert chosen[f"{PREFIX}inputs_node_normal_3"] == "0_1"
    assert chosen[f"{PREFIX}inputs_node_normal_5"] == "0_2"
    assert chosen[f"{PREFIX}edge_normal_11"] == "dil_conv_3x3"  # from node 2 to node 5
    assert chosen[f"{PREFIX}inputs_node_reduce_3"] == "1_2"
    assert len(chosen) == 2 * (8 + 3)
    x = dict(zip(HYPERPARAMETERS, features(architecture), strict=True))
    assert x[f"{PREFIX}edge_normal_11"] == 5
    assert x[f"{PREFIX}inputs_node_normal_5"] == 1
    assert x[f"{PREFIX}edge_normal_13"] == -1
    assert sum(value == -1 for value in x.values()) == 2 * (14 - 8)


def test_settings_and_architectures_are_inverse():
    for architecture in map(tuple, SPACE.sample(np.random.default_rng(2), 50).tolist()):
        assert architecture_of(settings_of(architecture)) == architecture


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs_node_normal_3": None}, "two ascending nodes below 3 as .*normal_3' but got None"),
        ({"inputs_node_normal_3": "0_3"}, "two ascending nodes below 3 .* but got '0_3'"),
        ({"inputs_node_reduce_5": "2_1"}, "two ascending nodes below 5 .* but got '2_1'"),
        ({"edge_normal_0": "none"}, "Expected one of max_pool_3x3, .* but got 'none'"),
        ({"edge_normal_13": "skip_connect"}, "Expected no .*edge_normal_13', as no node"),
    ],
)
def test_wrong_settings_are_refused(changes, message):
    settings = settings_of(SPACE.from_string(str(DARTS_V2)))
    settings |= {f"{PREFIX}{name}": value for name, value in changes.items()}
    with pytest.raises(InvalidArchitectureError, match=message):
        architecture_of(settings)


# Models


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize("kind", ["xgb", "lgb"])
def test_members_predict_what_the_libraries_do(published, kind, protocol):
    folder, models = published(kind, protocol)
    ensemble = Ensemble(folder)
    architectures, x, _ = learned()
    expected = predicted(kind, models, x)
    assert len(np.unique(expected)) > 3
    for i, architecture in enumerate(map(tuple, architectures[:20].tolist())):
        assert (ensemble.members(architecture) == expected[:, i]).all()


def test_the_drop_in_predicts_as_the_official_class(published):
    folder, models = published()
    x = features(SPACE.from_string(str(DARTS_V2))).reshape(1, -1)
    each = predicted("xgb", models, x)
    api = load_ensemble(str(folder))
    mean = api.predict(config=DARTS_V2, representation="genotype", with_noise=False)
    assert mean == np.mean(each)
    np.random.seed(6 + 2)  # noqa: NPY002 (what the official class leaves behind)
    noise = np.random.normal(0, np.std(each), 1)[0]  # noqa: NPY002 (as above)
    load_ensemble(str(folder))
    assert api.predict(config=DARTS_V2) == np.mean(each) + noise != mean
    settings = settings_of(SPACE.from_string(str(DARTS_V2)))
    for config, representation in (
        (settings, "configspace"),
        ({"OptimizerSelector:sgd:momentum": 0.9, **settings}, "configspace"),
        (type("Configuration", (), {"get_dictionary": lambda self: settings})(), "configspace"),
        (str(DARTS_V2), "genotype"),
        (DARTS_V2._replace(normal=tuple(DARTS_V2.normal), reduce_concat=range(2, 6)), "genotype"),
    ):
        assert api.predict(config, representation, with_noise=False) == mean
    with pytest.raises(NotImplementedError, match="please choose from genotype, configspace"):
        api.predict(DARTS_V2, "path")
    with pytest.raises(QueryError):
        api.predict(DARTS_V2, "path")
    with pytest.raises(InvalidArchitectureError, match="but got 'none'"):
        api.predict(DARTS_V2._replace(normal=[("none", i % 2) for i in range(8)]))


def test_searches_see_noise_and_are_judged_by_the_mean(published):
    accuracy, models = published("xgb")
    runtime, seconds = published("lgb_time", models=boosters("lgb_time", 1))
    architecture = SPACE.from_string(str(DARTS_V2))
    x = features(architecture).reshape(1, -1)
    each = predicted("xgb", models, x)
    benchmark = NASBench301(accuracy, runtime)
    assert benchmark.clock == "train_only"
    assert benchmark.report_value(architecture) == pytest.approx(each.mean(), rel=1e-6)
    found = [benchmark.evaluate(architecture, rng=np.random.default_rng(i)) for i in (0, 0, 1)]
    assert found[0] == found[1] != found[2]
    assert found[0].cost == predicted("lgb", seconds, x)[0, 0]
    values = [
        benchmark.evaluate(architecture, rng=np.random.default_rng(i)).values[0] for i in range(400)
    ]
    assert np.mean(values) == pytest.approx(each.mean(), abs=4 * float(each.std()) / 20)
    assert np.std(values) == pytest.approx(each.std(), rel=0.2)
    plain = NASBench301(accuracy, noise=False)
    assert (plain.clock, plain.noisy) == ("evaluations", False)
    assert plain.evaluate(architecture).values[0] == benchmark.report_value(architecture)
    assert plain.fingerprint != benchmark.fingerprint
    with pytest.raises(TableFileError, match=r"predicts seconds: expected NASBench301\(accuracy="):
        NASBench301(runtime)
    with pytest.raises(TableFileError, match="predicts accuracies"):
        NASBench301(accuracy, accuracy)


# What is refused


class Evil:
    def __reduce__(self):
        return os.mkdir, ("evil",)


def test_nothing_in_a_pickle_is_run(published, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pytest.importorskip("xgboost")
    folder, _ = published(models=[Evil()])
    with pytest.raises(UnsafeFileError, match="Nothing in it was run"):
        Ensemble(folder)
    assert not (tmp_path / "evil").exists()


def test_wrong_folders_are_refused(published, tmp_path):
    with pytest.raises(TableFileError, match="Expected a folder with 1 to 1,000 models"):
        Ensemble(tmp_path / "absent")
    folder, _ = published()
    model = folder / "ensemble_member_1" / "surrogate_model.model"
    whole = model.read_bytes()
    for damaged, message in (
        (whole[: len(whole) // 2], "is truncated or damaged"),
        (pickle.dumps({"handle": b"x"}), "it holds no model of xgboost"),
        (pickle.dumps(boosters("lgb", 1)[0]), "it holds no model of xgboost"),
    ):
        model.write_bytes(damaged)
        with pytest.raises(TableFileError, match=message) as caught:
            Ensemble(folder)
        assert str(model) in str(caught.value)
    model.write_bytes(whole)
    config = folder / "ensemble_member_0" / "model_config.json"
    for text, message in (
        ('{"model": "gnn_gin"}', "expected a model xgb, .* but got 'gnn_gin'"),
        ("[]", "expected an object but got"),
        ("{", "is truncated or damaged"),
    ):
        config.write_text(text)
        with pytest.raises(TableFileError, match=message):
            Ensemble(folder)
    config.unlink()
    with pytest.raises(TableFileError, match=r"model_config\.json cannot be read"):
        Ensemble(folder)


def test_without_the_library_it_is_said_what_to_install(published, monkeypatch):
    folder, _ = published()
    monkeypatch.setattr("nasbench_lab.algorithm.needs.find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=r"package xgboost: .*nasbench-lab\[nb301\]"):
        Ensemble(folder)


def test_models_are_not_downloaded():
    with pytest.raises(NotImplementedError, match=r"models/nb_models_1.0 has .* such as xgb_v1.0"):
        download_models(version="1.0", delete_zip=True, download_dir="models")

"""``nasbench_lab.compat.nas_201_api`` against the official package ``nas-bench-201``."""

import random
import sys
import warnings

import numpy as np
import pytest

from nasbench_lab import registry
from nasbench_lab.compat import OfficialBehaviourWarning, ReadOnlyError
from nasbench_lab.compat._by_index import BySchedule
from nasbench_lab.compat.nas_201_api import NASBench201API

torch = pytest.importorskip("torch", reason="needs nasbench-lab[official]")
nas_201_api = pytest.importorskip("nas_201_api", reason="needs nasbench-lab[official]")

# Both APIs warn; what ours warns of is tested below.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

N = 120
SOME = pytest.mark.parametrize("n_compared", [30, pytest.param(N, marks=pytest.mark.slow)])
"""The first few architectures have all kinds of gaps; all of them take minutes."""
NAMES = {"12": "less", "200": "full"}


@pytest.fixture(scope="module")
def data(official):
    """A whole file in the official form, with gaps."""
    return official.content(nas_201_api, "tss", N, names=NAMES)


@pytest.fixture(scope="module", params=[True, False], ids=["zip", "pickles"])
def file(request, data, tmp_path_factory):
    """The same in each layout of ``torch.save``."""
    path = tmp_path_factory.mktemp("nas201") / "NAS-Bench-201-random.pth"
    torch.save(data, path, _use_new_zipfile_serialization=request.param)
    return path


@pytest.fixture(scope="module")
def theirs(data):
    return nas_201_api.NASBench201API(data, verbose=False)


@pytest.fixture(scope="module")
def both(file, theirs):
    return NASBench201API(file, verbose=False), theirs


@pytest.fixture(scope="module")
def one_layout(data, theirs, tmp_path_factory):
    """Ours over a dictionary: what does not depend on the file is compared once only."""
    return NASBench201API(data, verbose=False), theirs


@pytest.fixture(scope="module")
def tidy(official):
    """Both APIs over a dictionary without gaps, where each method gives an answer."""
    data = official.content(nas_201_api, "tss", 50, absent=0, seed=4, names=NAMES, tidy=True)
    return NASBench201API(data, verbose=False), nas_201_api.NASBench201API(data, verbose=False)


def each(official, n=N):
    for index in range(n):
        for dataset in official.datasets:
            for hp, (n_epochs, _) in official.schedules["tss"].items():
                yield index, dataset, hp, n_epochs


@SOME
def test_get_more_info(both, file, official, n_compared):
    # What the layout could change shows in the first architectures.
    with open(file, "rb") as opened:
        n_compared = n_compared if opened.read(2) == b"PK" else min(n_compared, 50)
    for index, dataset, hp, n in each(official, n_compared):
        for iepoch in (None, 0, n // 2, n - 1, n, -1) if index < 20 else (None, n // 2):
            for trial in (False, *official.trials(both[1], index, dataset, hp), 5, None):
                official.check_call(
                    *both,
                    lambda api, a=(index, dataset, iepoch, hp, trial): api.get_more_info(*a),
                    (index, dataset, hp, iepoch, trial),
                )


@SOME
def test_every_epoch(one_layout, official, n_compared):
    for index, dataset, hp, n in each(official, n_compared):
        for iepoch in range(n):
            for trial in (False, *official.trials(one_layout[1], index, dataset, hp)):
                official.check_call(
                    *one_layout,
                    lambda api, a=(index, dataset, iepoch, hp, trial): api.get_more_info(*a),
                    (index, dataset, hp, iepoch, trial),
                )


def test_costs_and_trials(one_layout, official):
    both = one_layout
    for index, dataset, hp, n in each(official, 20):
        for call in (
            lambda api, a=(index, dataset, hp): api.get_cost_info(*a),
            lambda api, a=(index, dataset, hp): api.get_latency(*a),
            lambda api, a=(index, dataset, None, hp): api.get_net_param(*a),
            lambda api, a=(index, hp): api.query_info_str_by_arch(*a),
            lambda api, a=(index, hp): api.query_by_arch(*a),
            lambda api, a=(index, dataset, hp): list(api.query_by_index(*a)),
            lambda api, a=(index, dataset, int(hp)): api.query_by_index(*a),
        ):
            official.check_call(*both, call, (index, dataset, hp))
        for seed in official.trials(both[1], index, dataset, hp):
            results = [api.query_by_index(index, dataset, hp)[seed] for api in both]
            for call in (
                lambda r: r.get_times(),
                lambda r: r.get_latency(),
                lambda r: r.get_config(None),
                lambda r: r.get_train(),
                lambda r, n=n: r.get_train(n),
                lambda r: r.get_eval("x-valid"),
                lambda r, n=n: r.get_eval("ori-test", n // 2),
                lambda r: (r.name, r.seed, r.epochs, r.params, r.flop),
                lambda r: r.train_acc1es,
                lambda r: r.eval_acc1es,
            ):
                official.check_call(*results, call, (index, dataset, hp, seed))


def test_net_config(one_layout, official):
    held = set(one_layout[1].arch2infos_dict)
    for index, dataset, _, _ in each(official, 60):
        if index in held:  # else the official code stumbles over an undefined name
            official.check_call(
                *one_layout, lambda api, a=(index, dataset): api.get_net_config(*a), ()
            )
    with pytest.raises(ValueError, match="no record"):
        one_layout[0].get_net_config(min(set(range(N)) - held), "cifar10")


def test_find_best_and_statistics(tidy, official):
    for dataset in (*official.datasets, "nonsense"):
        for hp in ("12", "200"):
            for split in ("valid", "test", "train", "ori-test", "nonsense"):
                for limits in ({}, {"FLOP_max": 90.0}, {"Param_max": 0.5})[: 3 - 2 * (hp == "200")]:
                    official.check_call(
                        *tidy,
                        lambda api, a=(dataset, split), hp=hp, limits=limits: api.find_best(
                            *a, hp=hp, **limits
                        ),
                        (dataset, split, hp, limits),
                    )
            official.check_call(*tidy, lambda api, a=(dataset, hp): api.statistics(*a), ())
    found = tidy[0].find_best("cifar10", "valid")[1]
    assert isinstance(found, np.float64)


def test_show(tidy, official, capsys):
    shown = []
    for api in tidy:
        for index in (*range(10), 50):
            api.show(index)
        shown.append(capsys.readouterr().out)
    official.check_same(*shown, ())


def test_types_are_the_official_ones(tidy):
    for call in (
        lambda api: api.get_more_info(0, "cifar10-valid", is_random=False),
        lambda api: api.get_more_info(0, "cifar10-valid", is_random=777),
        lambda api: api.get_cost_info(0, "cifar100"),
    ):
        ours, theirs = map(call, tidy)
        assert {k: type(v) for k, v in ours.items()} == {k: type(v) for k, v in theirs.items()}
    assert "comment" not in tidy[0].get_more_info(0, "cifar10")


def test_architectures(both, official):
    ours, theirs = both
    assert len(ours) == len(theirs) == N
    assert list(ours) == list(theirs)
    assert ours.evaluated_indexes == theirs.evaluated_indexes
    assert type(ours.evaluated_indexes) is list
    assert sorted(ours.avaliable_hps) == sorted(theirs.avaliable_hps)
    for index, text in enumerate(theirs):
        assert ours.arch(index) == text
        assert ours.query_index_by_arch(text) == index
        assert ours.str2lists(text) == theirs.str2lists(text)
        assert ours.str2matrix(text).tolist() == theirs.str2matrix(text).tolist()
    for wrong in (-1, N, "nonsense", None, 3.0):
        official.check_call(ours, theirs, lambda api, w=wrong: api.query_index_by_arch(w), wrong)
    for wrong in (-1, N):
        official.check_call(ours, theirs, lambda api, w=wrong: api.arch(w), wrong)


DATASETS = ("cifar10", "cifar100", "ImageNet16-120")
CALLS = (
    lambda api, choose: api.simulate_train_eval(
        choose.randrange(N), choose.choice(DATASETS), choose.choice(["12", "200"])
    ),
    lambda api, choose: api.simulate_train_eval(
        api[choose.randrange(N)], choose.choice(DATASETS), account_time=choose.random() < 0.5
    ),
    lambda api, choose: api.get_more_info(choose.randrange(N), choose.choice(DATASETS), hp=200),
    lambda api, choose: api.random(),
)


def test_sequences(one_layout, official):
    for api in one_layout:
        api.reset_time()
    official.check_sequences(*one_layout, CALLS, n_calls=800)
    official.check_sequences(*one_layout, CALLS, n_calls=800)
    for arguments in (("cifar10-valid",), ("svhn",), ("cifar10", "13")):
        official.check_call(
            *one_layout, lambda api, a=arguments: api.simulate_train_eval(0, *a), arguments
        )


def test_sources(file, both, monkeypatch, tmp_path):
    table = both[0]._records.table
    with monkeypatch.context() as patched:
        patched.setattr(registry, "import_file", None)
        for source in (str(file), table, table.name, table.folder):
            assert len(NASBench201API(source, verbose=False)) == N
    for wrong in ("nowhere", {}):
        with pytest.raises(AssertionError):
            NASBench201API(wrong, verbose=False)
    with pytest.raises(ValueError, match="Expected a path"):
        NASBench201API(5, verbose=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(AssertionError, match="no imported table"):
        NASBench201API(verbose=False)
    (tmp_path / "NAS-Bench-201-v1_1-096897.pth").symlink_to(file)
    assert NASBench201API(verbose=False).filename == "NAS-Bench-201-v1_1-096897.pth"


def test_works_where_torch_is_not(file, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    api = NASBench201API(file, verbose=False)
    index = api.evaluated_indexes[0]
    random.seed(3)
    assert api.get_more_info(index, "cifar10-valid")["train-accuracy"] > 0


def test_traps_and_refusals(file):
    api = NASBench201API(file, verbose=False)
    with pytest.warns(OfficialBehaviourWarning, match="not an architecture of the list"):
        assert api.query_index_by_arch("nonsense") == -1
    with pytest.warns(OfficialBehaviourWarning, match="the last one"):
        assert api[-1] == api[N - 1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        api.query_index_by_arch("nonsense")
    with pytest.raises(ReadOnlyError, match="new API"):
        api.reload("/elsewhere", 0)


# Versions 1.x


def test_arguments_of_versions_1(tidy, official):
    ours, theirs = tidy
    text = ours[7]
    for flag, hp in ((False, "200"), (True, "12")):
        for dataset in ("cifar10-valid", "cifar100"):
            expected = theirs.get_more_info(7, dataset, None, hp, False)
            for found in (
                ours.get_more_info(7, dataset, None, flag, False),
                ours.get_more_info(7, dataset, use_12epochs_result=flag, is_random=False),
            ):
                official.check_same(found, expected, (dataset, hp))
            expected = theirs.find_best(dataset, "x-valid", None, None, hp)
            for found in (
                ours.find_best(dataset, "x-valid", None, None, flag),
                ours.find_best(dataset, "x-valid", use_12epochs_result=flag),
            ):
                official.check_same(found, expected, (dataset, hp))
            for found in (
                ours.query_by_index(7, dataset, flag),
                ours.query_by_index(7, dataset, use_12epochs_result=flag),
            ):
                assert list(found) == list(theirs.query_by_index(7, dataset, hp))
                assert {one.epochs for one in found.values()} == {official.schedules["tss"][hp][0]}
            assert ours.get_net_param(7, dataset, None, flag) == theirs.get_net_param(
                7, dataset, None, hp
            )
        expected = theirs.query_info_str_by_arch(7, hp)
        for found in (
            ours.query_by_arch(text, flag),
            ours.query_by_arch(text, use_12epochs_result=flag),
            ours.query_info_str_by_arch(text, flag),
        ):
            official.check_same(found, expected, (hp,))
        for found in (
            ours.query_meta_info_by_index(7, flag),
            {"12": ours.arch2infos_less, "200": ours.arch2infos_full}[hp][7],
        ):
            assert found.get_total_epoch() == official.schedules["tss"][hp][0]
            costs = theirs.query_meta_info_by_index(7, hp).get_compute_costs("cifar10")
            official.check_same(found.get_comput_costs("cifar10"), costs, (hp,))
    # Only versions 1.x have a default here: 200 epochs.
    official.check_same(ours.query_by_arch(7), theirs.query_by_arch(7, "200"), ())
    assert list(ours.arch2infos_full) == list(theirs.arch2infos_dict)
    assert len(ours.arch2infos_less) == len(theirs.arch2infos_dict)


def test_results_by_schedule_forget(one_layout):
    ours, theirs = one_layout
    index = next(iter(theirs.arch2infos_dict))
    full = BySchedule(ours.arch2infos_dict, "200")  # what ours.arch2infos_full is
    assert full[index].arch_index == index
    del full[index]
    assert index not in full
    assert list(full) == list(theirs.arch2infos_dict)[1:]
    assert len(full) == len(theirs.arch2infos_dict) - 1
    with pytest.raises(KeyError, match="deleted"):
        del full[index]
    with pytest.raises(ReadOnlyError, match="imported table"):
        full[index] = None
    assert index in ours.arch2infos_full
    assert index in ours.arch2infos_dict


def test_a_schedule_that_versions_mean_differently_warns_once(tidy, official):
    table, theirs = tidy[0]._records.table, tidy[1]
    calls = (
        lambda api: api.get_more_info(7, "cifar10", is_random=False),
        lambda api: api.find_best("cifar10", "valid"),
        lambda api: list(api.query_by_index(7, "cifar10")),
        lambda api: api.query_meta_info_by_index(7).get_total_epoch(),
        lambda api: api.get_net_param(7, "cifar10", None),
    )
    for first in calls:
        ours = NASBench201API(table, verbose=False)
        with pytest.warns(OfficialBehaviourWarning, match="200") as caught:
            first(ours)
        assert len(caught) == 1
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for call in calls:
                official.check_call(ours, theirs, call, ())
    ours = NASBench201API(table, verbose=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours.get_more_info(7, "cifar10", hp="12")
        ours.get_more_info(7, "cifar10", None, False)
        ours.simulate_train_eval(7, "cifar10")  # versions 1.x have no such method
        ours.get_cost_info(7, "cifar10")

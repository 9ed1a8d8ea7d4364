"""``nasbench_lab.compat.nats_bench`` against the official package ``nats-bench``."""

import os
import pickle
import random
import subprocess
import sys
import warnings

import pytest

from nasbench_lab import registry
from nasbench_lab.compat import OfficialBehaviourWarning, ReadOnlyError
from nasbench_lab.compat import nats_bench as drop_in
from nasbench_lab.errors import NasbenchLabError

nats_bench = pytest.importorskip("nats_bench", reason="needs nasbench-lab[official]")

# Both APIs warn; what ours warns of is tested below.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

N = 120
SOME = pytest.mark.parametrize("n_compared", [30, pytest.param(N, marks=pytest.mark.slow)])
"""The first few architectures have all kinds of gaps; all of them take minutes."""
SPLITS = ("train", "x-valid", "x-test", "ori-test", "valid", "nonsense")


@pytest.fixture(scope="module", params=["tss", "sss"])
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def file(kind, official, tmp_path_factory):
    """A single file of several hundred architectures."""
    path = tmp_path_factory.mktemp("nats") / f"NATS-{kind}-random.pickle"
    nats_bench.pickle_save(official.content(nats_bench, kind, N), str(path))
    return str(path) + ".pbz2"


@pytest.fixture(scope="module")
def both(kind, file):
    """Our API and the official one over the same file."""
    return drop_in.create(file, kind, verbose=False), nats_bench.create(file, kind, verbose=False)


@pytest.fixture(scope="module")
def directory(kind, official, tmp_path_factory):
    """A directory with one file per architecture, without gaps but whole architectures."""
    folder = tmp_path_factory.mktemp("nats") / f"NATS-{kind}-random-simple"
    write_directory(folder, official.content(nats_bench, kind, 24, absent=4, seed=2, tidy=True))
    return folder


@pytest.fixture(scope="module")
def tidy(kind, official):
    """Both APIs over a dictionary without gaps, where each method gives an answer."""
    data = official.content(nats_bench, kind, 60, absent=5, seed=4, tidy=True)
    return quiet(kind, data), nats_bench.create(data, kind, verbose=False)


def write_directory(folder, data):
    folder.mkdir()
    meta = {**data, "arch2infos": None, "evaluated_indexes": set()}
    nats_bench.pickle_save(meta, str(folder / "meta.pickle"))
    for index, infos in data["arch2infos"].items():
        nats_bench.pickle_save(infos, str(folder / f"{index:06d}.pickle"))


def quiet(kind, source, **options):
    return drop_in.create(source, kind, verbose=False, **options)


def each(ours, kind, official, n_compared=N):
    """Every (index, data set, schedule, number of epochs) of the first architectures."""
    for index in range(min(len(ours), n_compared)):
        for dataset in official.datasets:
            for hp, (n_epochs, _) in official.schedules[kind].items():
                yield index, dataset, hp, n_epochs


# Values


@SOME
def test_get_more_info(both, kind, official, n_compared):
    for index, dataset, hp, n in each(both[1], kind, official, n_compared):
        for iepoch in (None, 0, n // 2, n - 1, n, -1) if index < 20 else (None, n // 2):
            for trial in (False, *official.trials(both[1], index, dataset, hp), 5, None):
                official.check_call(
                    *both,
                    lambda api, a=(index, dataset, iepoch, hp, trial): api.get_more_info(*a),
                    (index, dataset, hp, iepoch, trial),
                )


@SOME
def test_every_epoch(both, kind, official, n_compared):
    for index, dataset, hp, n in each(both[1], kind, official, n_compared):
        for iepoch in range(n):
            for trial in (False, *official.trials(both[1], index, dataset, hp)):
                official.check_call(
                    *both,
                    lambda api, a=(index, dataset, iepoch, hp, trial): api.get_more_info(*a),
                    (index, dataset, hp, iepoch, trial),
                )


def test_get_metrics(both, kind, official):
    for index, dataset, hp, n in each(both[1], kind, official):
        for split in SPLITS if index < 20 else ():
            for iepoch in (None, n // 2):
                official.check_call(
                    *both,
                    lambda api, a=(dataset, split, iepoch), i=index, hp=hp: (
                        api.query_meta_info_by_index(i, hp).get_metrics(*a)
                    ),
                    (index, dataset, hp, split, iepoch),
                )


@SOME
def test_costs(both, kind, official, n_compared):
    for index, dataset, hp, _ in each(both[1], kind, official, n_compared):
        calls = (
            lambda api, a=(index, dataset, hp): api.get_cost_info(*a),
            lambda api, a=(index, dataset, hp): api.get_latency(*a),
            lambda api, a=(index, dataset): api.get_net_config(*a),
            lambda api, a=(index, dataset, None, hp): api.get_net_param(*a),
            lambda api, a=(index, dataset, 777, hp): api.get_net_param(*a),
            lambda api, i=index, d=dataset, h=hp: api.query_by_index(i, None, h).get_latency(d),
        )
        for call in calls if index < 20 else calls[:2]:
            official.check_call(*both, call, (index, dataset, hp))


ATTRIBUTES = (
    "name",
    "params",
    "flop",
    "seed",
    "epochs",
    "arch_config",
    "train_acc1es",
    "train_acc5es",
    "train_losses",
    "train_times",
    "eval_acc1es",
    "eval_losses",
    "eval_times",
    "net_state_dict",
)


@SOME
def test_trials(both, kind, official, n_compared):
    for index, dataset, hp, n in each(both[1], kind, official, n_compared):
        seeds = official.trials(both[1], index, dataset, hp)
        if not seeds:
            continue
        ours, theirs = (api.query_by_index(index, dataset, hp) for api in both)
        assert list(ours) == list(theirs)
        for seed in seeds:
            where = (index, dataset, hp, seed)
            for name in ATTRIBUTES:  # with all values of each epoch and split
                expected = getattr(theirs[seed], name)
                if name == "eval_losses":  # without an accuracy there is no use of a loss
                    expected = {key: expected[key] for key in theirs[seed].eval_acc1es}
                if isinstance(expected, dict):
                    expected = dict(expected)
                official.check_same(getattr(ours[seed], name), expected, (*where, name))
            assert set(ours[seed].get_eval_set()) == set(theirs[seed].get_eval_set())
            if index >= 30:
                continue
            for call in (
                lambda r: r.get_times(),
                lambda r: r.get_latency(),
                lambda r: r.get_total_epoch(),
                lambda r: r.get_config(None),
                lambda r: r.get_config(len),
                lambda r: r.get_net_param(),
                lambda r: r.get_train(),
                lambda r, n=n: r.get_train(n - 1),
                lambda r, n=n: r.get_train(n),
                lambda r, n=n: r.get_eval("valid", n // 2),
                lambda r: r.get_eval("ori-test"),
                lambda r: repr(r).split(" eval-sets")[0],
            ):
                official.check_call(ours[seed], theirs[seed], call, where)


def test_results(both, kind, official):
    for index, dataset, hp, _ in each(both[1], kind, official):
        for call in (
            lambda r: r.dataset_seed,
            lambda r: r.get_dataset_names(),
            lambda r, d=dataset: r.get_dataset_seeds(d),
            lambda r: r.get_total_epoch(),
            lambda r, d=dataset: r.get_total_epoch(d),
            lambda r: r.arch_idx_str(),
            lambda r: (r.arch_index, r.arch_str, r.clear_net_done),
            lambda r, d=dataset: list(r.query(d)),
            lambda r, d=dataset: r.query(d, 777).seed,
            lambda r: list(r.all_results),
            repr,
        ):
            official.check_call(
                *both,
                lambda api, i=index, hp=hp, call=call: call(api.arch2infos_dict[i][hp]),
                (index, dataset, hp),
            )


def test_find_best(tidy, kind, official):
    for dataset in (*official.datasets, "nonsense"):
        for split in ("valid", "test", "train", "x-test", "ori-test", "nonsense"):
            for hp in official.schedules[kind]:
                for limits in ({}, {"flop_max": 90.0}, {"param_max": 0.5}, {"param_max": 0.0}):
                    official.check_call(
                        *tidy,
                        lambda api, a=(dataset, split), hp=hp, limits=limits: api.find_best(
                            *a, hp=hp, **limits
                        ),
                        (dataset, split, hp, limits),
                    )
    assert tidy[0].find_best("cifar10", "valid")[0] >= 0
    official.check_call(*tidy, lambda api: api.find_best("cifar10", "valid", enforce_all=True), ())


def test_statistics(both, tidy, kind, official):
    for apis in (both, tidy):
        for dataset in (*official.datasets, "nonsense"):
            for hp in (*official.schedules[kind], 12, "13"):
                official.check_call(
                    *apis, lambda api, a=(dataset, hp): api.statistics(*a), (dataset, hp)
                )


def test_texts(both, kind, official):
    for index, _, hp, _ in each(both[1], kind, official):
        for call in (
            ()
            if index >= 30
            else (
                lambda api, a=(index, hp): api.query_info_str_by_arch(*a),
                lambda api, a=(index, hp): api.query_by_arch(*a),
            )
        ):
            official.check_call(*both, call, (index, hp))


def test_show(tidy, official, capsys):
    index = sorted(tidy[0].evaluated_indexes)[0]
    shown = []
    for api in tidy:
        for i in (*range(20), len(api), len(api) + 3):
            api.show(i)
        shown.append(capsys.readouterr().out)
    official.check_same(*shown, ())
    tidy[0].show()  # officially that fails
    assert f"{index:06d}-th architecture!" in capsys.readouterr().out


# Architectures


def test_architectures(both, official):
    ours, theirs = both
    assert len(ours) == len(theirs) == N
    assert list(ours) == list(theirs)
    assert ours[3:6] == theirs[3:6]
    assert ours.evaluated_indexes == theirs.evaluated_indexes
    assert type(ours.evaluated_indexes) is set
    assert sorted(ours.avaliable_hps) == sorted(theirs.avaliable_hps)
    assert repr(ours) == repr(theirs)
    for index, text in enumerate(theirs):
        assert ours.arch(index) == theirs.arch(index) == text
        assert ours.query_index_by_arch(text) == index
    for wrong in (-1, N, N + 7):
        official.check_call(ours, theirs, lambda api, w=wrong: api.arch(w), wrong)
        official.check_call(ours, theirs, lambda api, w=wrong: api.query_index_by_arch(w), wrong)
    for wrong in ("nonsense", None, 3.0, (1, 2)):
        official.check_call(ours, theirs, lambda api, w=wrong: api.query_index_by_arch(w), wrong)
    for name in (
        "search_space_name",
        "fast_mode",
        "archive_dir",
        "full_train_epochs",
        "full_epochs_in_paper",
        "is_size",
        "is_topology",
        "filename",
        "verbose",
    ):
        assert getattr(ours, name) == getattr(theirs, name), name


def test_object_with_tostr(both):
    class Structure:
        def tostr(self):
            return both[1][7]

    assert both[0].query_index_by_arch(Structure()) == 7


def test_strings_of_cells(official):
    data = official.content(nats_bench, "tss", 200, absent=190)
    ours, theirs = quiet("tss", data), nats_bench.create(data, "tss", verbose=False)
    for index, text in enumerate(data["meta_archs"]):
        assert ours.str2lists(text) == theirs.str2lists(text)
        assert ours.str2matrix(text).tolist() == theirs.str2matrix(text).tolist()
        assert ours.get_unique_str(index) == theirs.get_unique_str(index)
    for wrong in ("|a~0~1|", "|nonsense~0|", "|none~x|"):
        official.check_call(ours, theirs, lambda api, w=wrong: api.str2lists(w), wrong)
        official.check_call(ours, theirs, lambda api, w=wrong: api.str2matrix(w), wrong)


# Random numbers


CALLS = (
    lambda api, choose: api.simulate_train_eval(
        choose.randrange(N),
        choose.choice(["cifar10", "cifar100", "ImageNet16-120"]),
        hp=choose.choice(api.avaliable_hps and ["12", "12", "01", "90", "200"]),
    ),
    lambda api, choose: api.simulate_train_eval(
        api.arch(choose.randrange(N)),
        choose.choice(["cifar10", "cifar100", "ImageNet16-120"]),
        iepoch=choose.choice([None, 3, 5, 11, 13]),
        hp=choose.choice(["12", "200", "90"]),
        account_time=choose.random() < 0.5,
    ),
    lambda api, choose: api.get_more_info(
        choose.randrange(N), choose.choice(["cifar10-valid", "cifar10", "cifar100", "svhn"])
    ),
    lambda api, choose: api.random(),
    lambda api, choose: api.query_meta_info_by_index(choose.randrange(N)).get_metrics(
        "cifar10", "train", None, True
    ),
)


def test_sequences(both, official):
    for api in both:
        api.reset_time()
    official.check_sequences(*both, CALLS, n_calls=800)
    # A second time nothing is read anew.
    official.check_sequences(*both, CALLS, n_calls=800)


def test_simulated_errors(both, official):
    for arguments in (("cifar10-valid",), ("svhn",), ("cifar10", 99), ("cifar10", None, "13")):
        official.check_call(
            *both, lambda api, a=arguments: api.simulate_train_eval(0, *a), arguments
        )


# Directories, dictionaries, tables


def test_directory(directory, kind, official, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    ours = quiet(kind, str(directory), fast_mode=True)
    theirs = nats_bench.create(str(directory), kind, fast_mode=True, verbose=False)
    assert repr(ours) == repr(theirs)
    for index in (3, 5, 5, 0, 23, 24, -1):
        for call in (
            lambda api, i=index: api.get_more_info(i, "cifar100", is_random=False),
            lambda api, i=index: api.get_cost_info(i, "cifar10"),
            lambda api, i=index: api.query_info_str_by_arch(i),
        ):
            official.check_call(ours, theirs, call, (index,))
        assert ours.evaluated_indexes == theirs.evaluated_indexes
        assert list(ours.arch2infos_dict) == list(theirs.arch2infos_dict)
        assert sorted(ours.avaliable_hps) == sorted(theirs.avaliable_hps)
    for index in (7, 7, 24):  # scripts of others call this method
        official.check_call(ours, theirs, lambda api, i=index: api._prepare_info(i), (index,))
        official.check_call(
            ours, theirs, lambda api, i=index: list(api.arch2infos_dict[i]), (index,)
        )
    official.check_call(ours, theirs, lambda api: api.find_best("cifar10", "valid"), ())
    for index in range(24):
        official.check_call(ours, theirs, lambda api, i=index: api.reload(None, i), index)
    assert ours.evaluated_indexes == theirs.evaluated_indexes
    official.check_call(
        ours, theirs, lambda api: api.find_best("cifar10", "valid", enforce_all=False), ()
    )


def test_wrong_sources(kind, file, directory, tmp_path, official):
    (tmp_path / "empty").mkdir()
    for source, fast_mode in (
        (file, True),
        (str(directory), False),
        ("nowhere", False),
        ("nowhere", True),
        (str(tmp_path / "empty"), True),
        ({}, False),
        (5, False),
    ):
        official.check_call(
            drop_in,
            nats_bench,
            lambda module, a=(source, kind, fast_mode): module.create(*a, verbose=False),
            (source, fast_mode),
        )
    official.check_call(drop_in, nats_bench, lambda module: module.create(file, "xss"), ())


def test_converted_once(file, kind, both, monkeypatch):
    monkeypatch.setattr(registry, "import_file", None)
    assert len(quiet(kind, file)) == N


def test_from_a_table(file, kind, both, official):
    table = both[0]._records.table
    for source in (table, table.name, table.folder, str(table.folder)):
        for fast_mode in (False, True):
            api = quiet(kind, source, fast_mode=fast_mode)
            assert api.evaluated_indexes == (set() if fast_mode else both[1].evaluated_indexes)
            for seed in official.trials(both[1], 11, "cifar100", "12"):
                info = api.get_more_info(11, "cifar100", is_random=seed)
                assert info == both[0].get_more_info(11, "cifar100", is_random=seed)


def test_default_is_the_imported_table_or_the_official_file(kind, official, monkeypatch, tmp_path):
    data = official.content(nats_bench, kind, 12)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path / "data"))
    with pytest.raises(ValueError, match="nats-"):
        quiet(kind, None)
    with pytest.raises(FileNotFoundError):
        quiet(kind, None, fast_mode=True)
    base = {"tss": "NATS-tss-v1_0-3ffb9", "sss": "NATS-sss-v1_0-50262"}[kind]
    nats_bench.pickle_save(data, str(tmp_path / f"{base}.pickle"))
    assert quiet(kind, None).filename == f"{base}.pickle.pbz2"
    registry.import_file(tmp_path / f"{base}.pickle.pbz2")
    assert quiet(kind, None).filename == f"nats-{kind}"


def test_dictionary(kind, official):
    data = official.content(nats_bench, kind, 15, absent=2, seed=3)
    ours, theirs = quiet(kind, data), nats_bench.create(data, kind, verbose=False)
    for index in range(15):
        official.check_call(
            ours, theirs, lambda api, i=index: api.get_more_info(i, "cifar10", is_random=False), ()
        )
    assert quiet(kind, data)._records.table.name == ours._records.table.name


def test_other_space_is_refused(kind, both):
    other = {"tss": "sss", "sss": "tss"}[kind]
    with pytest.raises(NasbenchLabError, match="needs one over"):
        quiet(other, both[0]._records.table)


# Traps, and what a table does not do


def test_traps_warn_once(file, kind, both, official):
    api = quiet(kind, file)
    with pytest.warns(OfficialBehaviourWarning, match="not an architecture of the list"):
        assert api.query_index_by_arch("nonsense") == -1
    with pytest.warns(OfficialBehaviourWarning, match="the last one"):
        assert api[-1] == both[1][-1]
    hp, n = {"tss": ("200", 16), "sss": ("90", 14)}[kind]
    index = next(i for i in sorted(api.evaluated_indexes) if leaks(both[1], i, n - 2, hp))
    with pytest.warns(OfficialBehaviourWarning, match="test data leak"):
        api.simulate_train_eval(index, "cifar100", iepoch=n - 2, hp=hp)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert api.query_index_by_arch("nonsense too") == -1
        assert api[-2] == both[1][-2]
        api.simulate_train_eval(index, "cifar100", iepoch=n - 2, hp=hp)


def leaks(api, index, iepoch, hp):
    try:
        api.simulate_train_eval(index, "cifar100", iepoch=iepoch, hp=hp, account_time=False)
    except (KeyError, ValueError, TypeError):
        return False
    return "valid-accuracy" not in api.get_more_info(index, "cifar100", iepoch, hp)


def test_numpy_index_is_unknown_as_officially(both, official):
    numpy = pytest.importorskip("numpy")
    index = sorted(both[1].evaluated_indexes)[0]
    both[0].get_more_info(index, "cifar10-valid")
    official.check_call(
        *both, lambda api: api.get_more_info(numpy.int64(index), "cifar10-valid"), ()
    )


def test_answers_are_new_objects(tidy):
    index = sorted(tidy[1].evaluated_indexes)[0]
    for _ in range(3):
        info = tidy[0].get_more_info(index, "cifar10-valid")
        assert "train-accuracy" in info
        info.clear()
        costs = tidy[0].get_cost_info(index, "cifar10-valid")
        assert "flops" in costs
        costs.clear()


def test_other_archives_are_refused(both):
    index = sorted(both[1].evaluated_indexes)[0]
    with pytest.raises(ValueError, match="archive_root"):
        both[0].reload()
    with pytest.raises(ReadOnlyError, match="new API"):
        both[0].reload("/elsewhere", 0)
    both[0].clear_params(index)
    with pytest.warns(UserWarning, match="nothing to clear"):
        both[0].clear_params(N + 5)


def test_results_are_forgotten_as_officially(kind, file, official, directory):
    for source, fast_mode in ((file, False), (str(directory), True)):
        ours = quiet(kind, source, fast_mode=fast_mode)
        theirs = nats_bench.create(source, kind, fast_mode=fast_mode, verbose=False)
        first, second, third = (0, 3, 5) if fast_mode else sorted(theirs.evaluated_indexes)[:3]
        calls = [
            lambda api, i=i: api.get_more_info(i, "cifar10", is_random=False)
            for i in (first, second, third)
        ]
        for call in calls:
            official.check_call(ours, theirs, call, ())
        for forget in (
            lambda results, i=first: list(results.pop(i)),
            lambda results, i=second: results.__delitem__(i),
            lambda results, i=second: results.__delitem__(i),
            lambda results, i=second: results.pop(i, None),
            lambda results: results.clear(),
            len,
        ):
            official.check_call(ours.arch2infos_dict, theirs.arch2infos_dict, forget, ())
        assert ours.evaluated_indexes == theirs.evaluated_indexes
        for call in calls:  # fast_mode reads them again
            official.check_call(ours, theirs, call, ())
        assert list(ours.arch2infos_dict) == list(theirs.arch2infos_dict)
    with pytest.raises(ReadOnlyError, match="imported table"):
        ours.arch2infos_dict[0] = {}


def test_a_changed_directory_is_converted_anew(official, tmp_path):
    folder, n = tmp_path / "simple", 4
    data = official.content(nats_bench, "tss", n, absent=0, tidy=True)
    write_directory(folder, data)

    def accuracies():
        api = quiet("tss", str(folder), fast_mode=True)
        return [
            api.get_more_info(i, "cifar10", is_random=False)["train-accuracy"]
            for i in range(n)
            if i in api._records.rows
        ]

    first = accuracies()
    assert accuracies() == first
    # A file that is written over in place: neither names nor the folder's times change.
    changed = data["arch2infos"][3]
    for result in changed["12"]["all_results"].values():
        result["train_acc1es"][11] = 42.0
    nats_bench.pickle_save(changed, str(folder / "000003.pickle"))
    second = accuracies()
    assert second == [*first[:3], 42.0]
    # A file that takes the place of another, with its size and times.
    old = (folder / "000003.pickle.pbz2").stat()
    for result in changed["12"]["all_results"].values():
        result["train_acc1es"][11] = 43.0
    nats_bench.pickle_save(changed, str(tmp_path / "new.pickle"))
    new = tmp_path / "new.pickle.pbz2"
    os.utime(new, ns=(old.st_atime_ns, old.st_mtime_ns))
    times = folder.stat()
    new.replace(folder / "000003.pickle.pbz2")
    os.utime(folder, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert accuracies() == [*first[:3], 43.0]
    (folder / "000003.pickle.pbz2").unlink()
    assert accuracies() == first[:3]


def test_default_directory(kind, official, monkeypatch, tmp_path):
    base = {"tss": "NATS-tss-v1_0-3ffb9", "sss": "NATS-sss-v1_0-50262"}[kind]
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path / "data"))
    write_directory(tmp_path / f"{base}-simple", official.content(nats_bench, kind, 4, absent=0))
    theirs = nats_bench.create(None, kind, fast_mode=True, verbose=False)
    assert repr(quiet(kind, None, fast_mode=True)) == repr(theirs)


def test_pickled_api(both):
    index = sorted(both[1].evaluated_indexes)[0]
    both[0].get_more_info(index, "cifar10-valid")
    again = pickle.loads(pickle.dumps(both[0]))
    expected = both[0].get_more_info(index, "cifar10-valid", is_random=False)
    assert again.get_more_info(index, "cifar10-valid", is_random=False) == expected
    assert again[3] == both[0][3]


def test_verbose_prints(file, kind, capsys):
    api = drop_in.create(file, kind)
    api.random()
    api.query_index_by_arch(api[0])
    assert "Call query_index_by_arch" in capsys.readouterr().out


def test_module():
    assert drop_in.version() == nats_bench.version()
    for arguments in (
        ("nats-bench", "tss"),
        ("nats-bench", "size"),
        ("nas-bench-201", None),
    ):
        found = drop_in.search_space_info(*arguments)
        assert found == nats_bench.search_space_info(*arguments)
    for arguments in (("nats-bench", None), ("nas-bench-201", "tss"), ("nonsense", None)):
        with pytest.raises(ValueError, match="Expected one of"):
            drop_in.search_space_info(*arguments)


def test_needs_no_torch():
    code = (
        "import sys; sys.modules['torch'] = None; sys.modules['nats_bench'] = None\n"
        "import nasbench_lab.compat.nats_bench, nasbench_lab.compat.nas_201_api"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# The real records


@pytest.fixture(scope="module")
def real(samples, kind):
    name = {"tss": "NATS-tss-v1_0-3ffb9-simple", "sss": "NATS-sss-v1_0-50262-simple"}[kind]
    path = str(samples / name)
    ours = drop_in.create(path, kind, fast_mode=True, verbose=False)
    return ours, nats_bench.create(path, kind, fast_mode=True, verbose=False)


REAL = {"tss": ((0, 11), {"12": 12, "200": 200}), "sss": ((0,), {"01": 1, "12": 12, "90": 90})}


def test_real_values(real, kind, official):
    assert list(real[0]) == list(real[1])
    indexes, schedules = REAL[kind]
    for index in indexes:
        for hp, n_epochs in schedules.items():
            real[1].query_by_index(index, None, hp)
            official.check_call(
                *real, lambda api, a=(index, hp): api.query_info_str_by_arch(*a), (index, hp)
            )
            for dataset in official.datasets:
                seeds = real[1].arch2infos_dict[index][hp].get_dataset_seeds(dataset)
                official.check_call(
                    *real, lambda api, a=(index, dataset, hp): api.get_cost_info(*a), (index, hp)
                )
                for iepoch in (None, *range(n_epochs + 1)):
                    for trial in (False, *seeds):
                        official.check_call(
                            *real,
                            lambda api, a=(index, dataset, iepoch, hp, trial): api.get_more_info(
                                *a
                            ),
                            (index, dataset, hp, iepoch, trial),
                        )


def test_real_trials(real, kind, official):
    indexes, schedules = REAL[kind]
    for index in indexes:
        for hp in schedules:
            found, expected = (api.query_by_index(index, hp=hp) for api in real)
            assert list(found.all_results) == list(expected.all_results)
            assert list(found.state_dict()) == list(expected.state_dict())
            for dataset in official.datasets:
                ours, theirs = (api.query_by_index(index, dataset, hp) for api in real)
                assert list(ours) == list(theirs)
                for seed, expected in theirs.items():
                    for name in ATTRIBUTES:  # with all values of each epoch and split
                        if name != "train_acc5es":
                            official.check_same(
                                getattr(ours[seed], name),
                                getattr(expected, name),
                                (index, hp, dataset, seed, name),
                            )
                    official.check_same(ours[seed].get_times(), expected.get_times(), (index, hp))


def test_real_sequence(real, kind, official):
    indexes, schedules = REAL[kind]

    def simulate(api, choose):
        hp = choose.choice(list(schedules))
        return api.simulate_train_eval(
            choose.choice(indexes),
            choose.choice(["cifar10", "cifar100", "ImageNet16-120"]),
            iepoch=choose.choice([None, choose.randrange(schedules[hp])]),
            hp=hp,
        )

    official.check_sequences(*real, [simulate], n_calls=60)


def test_real_charge(samples):
    path = str(samples / "NATS-tss-v1_0-3ffb9-simple")
    api = drop_in.create(path, "tss", fast_mode=True, verbose=False)
    random.seed(0)
    found = {api.simulate_train_eval(11, "cifar10", hp="12")[0] for _ in range(30)}
    assert sorted(found) == pytest.approx([62.58, 63.976], abs=1e-3)
    assert api.used_time == pytest.approx(30 * 153.695933)


def test_only_what_a_file_lists_as_evaluated_counts(kind, official):
    data = official.content(nats_bench, kind, 30, seed=6, tidy=True)
    data["evaluated_indexes"] = set(sorted(data["arch2infos"])[::3])
    ours, theirs = quiet(kind, data), nats_bench.create(data, kind, verbose=False)
    assert ours.evaluated_indexes == theirs.evaluated_indexes
    for dataset in ("cifar10", "cifar100"):
        found = ours.find_best(dataset, "test"), theirs.find_best(dataset, "test")
        assert found[0][0] == found[1][0]
        assert found[0][1] == pytest.approx(found[1][1], abs=1e-4)
        assert ours.statistics(dataset, 12) == theirs.statistics(dataset, 12)


def test_other_data_sets_are_answered(official):
    """Files of others, such as those of NAS-Bench-360, have data sets of their own."""

    def other(dataset):
        return "darcyflow" if dataset == "cifar100" else dataset

    data = official.content(nats_bench, "tss", 12, absent=0, seed=6, tidy=True)
    for infos in data["arch2infos"].values():
        for info in infos.values():
            for name in ("dataset_seed", "all_results"):
                info[name] = {
                    other(key) if isinstance(key, str) else (other(key[0]), key[1]): value
                    for key, value in info[name].items()
                }
            for (dataset, _), result in info["all_results"].items():
                result["name"] = dataset
    ours, theirs = quiet("tss", data), nats_bench.create(data, "tss", verbose=False)
    for index in range(12):
        for hp in ("12", "200"):
            for dataset in ("darcyflow", "cifar10", "cifar100"):
                for call in (
                    lambda api, a=(index, dataset, None, hp, False): api.get_more_info(*a),
                    lambda api, a=(index, dataset, 3, hp, 777): api.get_more_info(*a),
                    lambda api, a=(index, dataset, hp): api.get_cost_info(*a),
                    lambda api, a=(index, dataset, hp): list(api.query_by_index(*a)),
                    lambda api, a=(dataset, hp): api.statistics(*a),
                    lambda api, a=(dataset, "x-valid"), hp=hp: api.find_best(*a, hp=hp),
                ):
                    official.check_call(ours, theirs, call, (index, dataset, hp))

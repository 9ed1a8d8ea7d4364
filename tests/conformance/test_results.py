"""``ArchResults`` and ``ResultsCount``, of states and of tables, against the official classes."""

import copy
import importlib
import pickle
import random

import pytest

from nasbench_lab.compat import nas_201_api as our_nas_201_api
from nasbench_lab.compat import nats_bench as our_nats_bench
from nasbench_lab.errors import NasbenchLabError

nats_bench = pytest.importorskip("nats_bench", reason="needs nasbench-lab[official]")
nas_201_api = pytest.importorskip("nas_201_api", reason="needs nasbench-lab[official]")

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

PACKAGES = {
    "nats_bench": (our_nats_bench, nats_bench),
    "nas_201_api": (our_nas_201_api, nas_201_api),
}
SPLITS = ("train", "x-valid", "x-test", "ori-test", "valid", "nonsense")


@pytest.fixture(scope="module", params=PACKAGES)
def packages(request):
    return PACKAGES[request.param]


@pytest.fixture(scope="module")
def states(official):
    """States of architectures with gaps, as official files hold them."""
    content = official.content(nats_bench, "tss", 12, absent=2, seed=8)
    content.update(official.content(nats_bench, "sss", 6, absent=0, seed=9)["arch2infos"])
    infos = [*content["arch2infos"].values(), *(v for k, v in content.items() if k in range(6))]
    return [state for info in infos for state in info.values()]


def asked_of_trials(result):
    """Calls of everything that a trial answers."""
    epochs = result.epochs
    yield from (
        lambda r: r.get_times(),
        lambda r: r.get_latency(),
        lambda r: r.get_total_epoch(),
        lambda r: r.get_eval_set(),
        lambda r: r.get_net_param(),
        lambda r: r.get_net_param(clone=True),
        lambda r: r.get_config(None),
        lambda r: r.get_config(len),
        lambda r: r.state_dict(),
        repr,
    )
    for iepoch in (None, 0, epochs // 2, epochs - 1, epochs, -1):
        yield lambda r, i=iepoch: r.get_train(i)
        for split in SPLITS:
            yield lambda r, s=split, i=iepoch: r.get_eval(s, i)


def asked_of_architectures(dataset):
    """Calls of everything that an architecture answers about a data set."""
    yield from (
        lambda r: r.get_dataset_names(),
        lambda r: r.dataset_seed,
        lambda r: (r.arch_index, r.arch_str, r.clear_net_done),
        lambda r: r.get_dataset_seeds(dataset),
        lambda r: r.get_compute_costs(dataset),
        lambda r: r.get_latency(dataset),
        lambda r: r.get_total_epoch(dataset),
        lambda r: list(r.query(dataset)),
        lambda r: r.query(dataset, 777).state_dict(),
        lambda r: r.query(dataset, 5),
        lambda r: r.get_net_param(dataset),
        lambda r: r.get_net_param(dataset, 777),
        lambda r: r.get_net_param(dataset, 5),
        lambda r: list(r.all_results),
        lambda r: r.arch_idx_str(),
        lambda r: r.state_dict(),
        repr,
    )
    for split in SPLITS:
        for iepoch in (None, 3):
            for trial in (False, 777, 5, None):
                yield lambda r, a=(dataset, split, iepoch, trial): r.get_metrics(*a)


def check_everything(official, ours, theirs, where):
    for dataset in official.datasets:
        for call in asked_of_architectures(dataset):
            official.check_call(ours, theirs, call, (*where, dataset))
        for (name, seed), result in theirs.all_results.items():
            if name == dataset:
                for call in asked_of_trials(result):
                    official.check_call(
                        ours.all_results[name, seed], result, call, (*where, name, seed)
                    )


def test_states_are_read(packages, states, official):
    ours, theirs = packages
    for i, state in enumerate(states):
        made = [
            package.ArchResults.create_from_state_dict(copy.deepcopy(state)) for package in packages
        ]
        assert type(made[0]) is ours.ArchResults
        check_everything(official, *made, (i,))
        for key, one in state["all_results"].items():
            results = [
                package.ResultsCount.create_from_state_dict(copy.deepcopy(one))
                for package in (ours, theirs)
            ]
            assert type(results[0]) is ours.ResultsCount
            official.check_same(results[0].state_dict(), results[1].state_dict(), (i, key))


CHANGES = (
    lambda r: r.reset_latency("cifar10", None, 0.25),
    lambda r: r.reset_latency("cifar100", 777, 0.5),
    lambda r: r.reset_latency("cifar100", 5, 0.5),
    lambda r: r.reset_latency("nonsense", None, 0.5),
    lambda r: r.reset_pseudo_train_times("cifar10", None, 7.5),
    lambda r: r.reset_pseudo_train_times("cifar100", 777, 8.5),
    lambda r: r.reset_pseudo_train_times("nonsense", 777, 8.5),
    lambda r: r.reset_pseudo_eval_times("cifar10", None, "ori-test", 1.5),
    lambda r: r.reset_pseudo_eval_times("cifar10-valid", 777, "x-valid", 2.5),
    lambda r: r.reset_pseudo_eval_times("cifar10", None, "x-test", 1.5),
    lambda r: r.query("cifar10", 777).update_latency([0.1, 0.4]),
    lambda r: r.query("cifar10", 777).update_latency(None),
    lambda r: r.query("cifar100", 777).update_train_info({0: 1.5}, None, {0: 2.5}, {0: 3.5}),
    lambda r: r.query("cifar100", 777).update_OLD_eval("ori-test", {0: 1.0}, {0: 2.0}),
    lambda r: r.query("cifar100", 777).update_OLD_eval("other", {0: 1.0, 2: 3.0}, {0: 2.0, 2: 4.0}),
    lambda r: r.query("cifar10-valid", 777).reset_eval(),
    lambda r: r.query("cifar10-valid", 777).update_eval(
        *[{f"x-valid@{i}": value * i for i in range(20)} for value in (1.0, 2.0, 3.0)]
    ),
    lambda r: r.query("cifar10-valid", 777).update_eval({"x-valid@0": 1.0}, {}, {}),
    lambda r: r.query("cifar10-valid", 777).update_eval({"x-test@0": 1.0}, {}, {}),
    lambda r: r.update("cifar10", 777, r.query("cifar10", 777)),
    lambda r: r.update("cifar10", 42, r.query("cifar10", 777)),
    lambda r: r.update("own-data", 3, r.query("cifar10", 777)),
    lambda r: list(r.all_results),
    lambda r: r.dataset_seed.pop("cifar100"),
    lambda r: r.clear_params(),
    lambda r: r.query("ImageNet16-120", 777).train_losses.pop(0),
    lambda r: r.query("ImageNet16-120", 777).eval_times.clear(),
)


def test_changes(packages, official):
    content = official.content(nats_bench, "tss", 2, absent=0, seed=4, tidy=True)
    state = content["arch2infos"][1]["200"]
    made = [
        package.ArchResults.create_from_state_dict(copy.deepcopy(state)) for package in packages
    ]
    for i, change in enumerate(CHANGES):
        official.check_call(*made, change, (i,))
        if i % 6 == 5:
            check_everything(official, *made, (i,))
        again = [copy.deepcopy(one) for one in made]
        official.check_same(again[0].state_dict(), again[1].state_dict(), (i,))


def test_made_anew(packages, official):
    made = []
    for package in packages:
        accuracies = {0: 10.0, 1: 20.0}
        result = package.ResultsCount(
            "darcyflow",
            {"w": 1},
            accuracies,
            {0: 2.0, 1: 1.0},
            1.5,
            50.0,
            {"arch_str": "x"},
            777,
            2,
            None,
        )
        accuracies.clear()  # they were copied
        results = package.ArchResults(3, "x")
        results.update("darcyflow", 777, result)
        made.append(results)
    for call in (
        lambda r: r.state_dict(),
        lambda r: r.clear_params(),
        lambda r: r.query("darcyflow", 777).update_OLD_eval(
            "x-valid", {0: 5.0, 1: 6.0}, {0: 1, 1: 2}
        ),
        lambda r: r.get_metrics("darcyflow", "x-valid"),
        lambda r: r.get_latency("darcyflow"),
        lambda r: r.get_compute_costs("darcyflow"),
        lambda r: r.state_dict(),
        repr,
    ):
        official.check_call(*made, call, ())
    for wrong in ({"all_results": [1]}, 5, None):
        official.check_call(
            *packages, lambda p, w=wrong: p.ArchResults.create_from_state_dict(w), (wrong,)
        )
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        made[0].nonsense  # noqa: B018 (asking is what fails)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        made[0].query("darcyflow", 777).nonsense  # noqa: B018 (likewise)


def test_states_in_files(official, states, tmp_path):
    utils = importlib.import_module("nats_bench.api_utils")
    utils.pickle_save(states[0], str(tmp_path / "one.pickle"))
    made = [
        package.ArchResults.create_from_state_dict(str(tmp_path / "one.pickle"))
        for package in PACKAGES["nats_bench"]
    ]
    official.check_same(made[0].state_dict(), made[1].state_dict(), ())
    torch = pytest.importorskip("torch", reason="needs nasbench-lab[official]")
    state = copy.deepcopy(states[0])
    for result in state["all_results"].values():
        result["net_state_dict"] = {"layer.weight": torch.ones(2, 3)}
    for zipped in (True, False):
        path = tmp_path / f"one-{zipped}.pth"
        torch.save(state, path, _use_new_zipfile_serialization=zipped)
        found = our_nas_201_api.ArchResults.create_from_state_dict(str(path))
        expected = nas_201_api.ArchResults.create_from_state_dict(copy.deepcopy(states[0]))
        for result in found.all_results.values():  # weights are not read
            assert result.get_net_param() == {"layer.weight": None}
            result.net_state_dict = None
        official.check_same(found.state_dict(), expected.state_dict(), (zipped,))
    for package in (our_nats_bench, our_nas_201_api):
        with pytest.raises(FileNotFoundError):
            package.ArchResults.create_from_state_dict(str(tmp_path / "nowhere"))
        (tmp_path / "damaged").write_bytes(b"\x80\x04")
        with pytest.raises(NasbenchLabError):
            package.ArchResults.create_from_state_dict(str(tmp_path / "damaged"))


# Of tables


def without_gaps(official, package, n, **options):
    """Records without gaps, and with one measurement of latency, as in the real files."""
    content = official.content(package, "tss", n, absent=0, seed=4, tidy=True, **options)
    for infos in content["arch2infos"].values():
        for info in infos.values():
            for result in info["all_results"].values():
                result["latency"] = result["latency"] and result["latency"][:1]
    return content


@pytest.fixture
def apis(request, official):
    """Both APIs over records without gaps."""
    name = request.param
    if name == "nats_bench":
        content = without_gaps(official, nats_bench, 6)
        return [package.create(content, "tss", verbose=False) for package in PACKAGES[name]]
    names = {"12": "less", "200": "full"}
    content = without_gaps(official, nas_201_api, 6, names=names)
    return [package.NASBench201API(content, verbose=False) for package in PACKAGES[name]]


EACH = pytest.mark.parametrize("apis", PACKAGES, indirect=True)

ASKED = tuple(
    lambda api, i=index, d=dataset, hp=hp, call=call: call(api, i, d, hp)
    for index, dataset, hp in (
        (1, "cifar10", "12"),
        (1, "cifar100", "12"),
        (1, "cifar10-valid", "200"),
        (1, "cifar100", "200"),
        (2, "cifar10", "12"),
    )
    for call in (
        lambda api, i, d, hp: api.get_cost_info(i, d, hp),
        lambda api, i, d, hp: api.get_latency(i, d, hp),
        lambda api, i, d, hp: api.get_more_info(i, d, None, hp, False),
        lambda api, i, d, hp: api.get_more_info(i, d, 3, hp, 777),
        lambda api, i, d, hp: api.get_more_info(i, d, hp=hp),
        lambda api, i, d, hp: api.get_net_config(i, d),
        lambda api, i, d, hp: api.query_info_str_by_arch(i, hp),
        lambda api, i, d, hp: [r.state_dict() for r in api.query_by_index(i, d, hp).values()],
        lambda api, i, d, hp: api.simulate_train_eval(i, d, hp=hp),
        lambda api, i, d, hp: api.arch2infos_dict[i][hp].get_compute_costs(d),
        lambda api, i, d, hp: api.statistics(d, hp),
    )
)


def check_apis(official, apis, where):
    for i, call in enumerate(ASKED):

        def seeded(api, seed=i, call=call):
            random.seed(seed)
            api.reset_time()
            return call(api), random.getstate()

        official.check_call(*apis, seeded, (*where, i))


@EACH
def test_changes_of_a_copy_stay_there(apis, official):
    check_apis(official, apis, ())
    for ask in (
        lambda api: api.query_by_index(1, hp="200"),
        lambda api: api.query_meta_info_by_index(1, "200"),
    ):
        copies = [ask(api) for api in apis]
        for i, change in enumerate(CHANGES):
            official.check_call(*copies, change, (i,))
        check_everything(official, *copies, ())
        check_apis(official, apis, ())
    trials = [api.query_by_index(1, "cifar10", "12")[111] for api in apis]
    official.check_call(*trials, lambda r: r.reset_pseudo_train_times(99.0), ())
    official.check_same(trials[0].get_times(), trials[1].get_times(), ())
    check_apis(official, apis, ())


@EACH
def test_changes_of_what_an_api_holds_are_answered(apis, official):
    check_apis(official, apis, ())  # answers are kept
    for i, change in enumerate(CHANGES):
        for hp in ("12", "200"):
            official.check_call(
                *apis, lambda api, c=change, hp=hp: c(api.arch2infos_dict[1][hp]), (i, hp)
            )
        check_apis(official, apis, (i,))
    again = pickle.loads(pickle.dumps(apis[0])), apis[1]
    check_apis(official, again, ())
    for api in apis:
        api.arch2infos_dict[2]["12"].query("cifar10")
        assert api.arch2infos_dict[2] is api.arch2infos_dict[2]
    check_apis(official, apis, ())


@EACH
def test_attributes_can_be_set(apis, official):
    for change in (
        lambda r: setattr(r, "latency", [0.7]),
        lambda r: setattr(r, "flop", 3.0),
        lambda r: setattr(r, "train_times", None),
        lambda r: setattr(r, "eval_times", {}),
        lambda r: setattr(r, "epochs", 5),
        lambda r: setattr(r, "own", "word"),
        lambda r: r.train_acc1es.update({0: 1.0}),
        lambda r: r.eval_names.append("nonsense"),
    ):
        copies = [api.query_by_index(1, "cifar10", "12")[111] for api in apis]
        official.check_call(*copies, change, ())
        for call in asked_of_trials(copies[1]):
            official.check_call(*copies, call, ())
        again = [pickle.loads(pickle.dumps(one)) for one in copies]
        official.check_same(again[0].state_dict(), again[1].state_dict(), ())
    results = apis[0].query_by_index(1, hp="12")
    assert pickle.loads(pickle.dumps(results)).get_metrics("cifar10", "ori-test") == (
        results.get_metrics("cifar10", "ori-test")
    )


def test_what_was_read_anew_has_no_changes(official, tmp_path):
    folder = tmp_path / "simple"
    folder.mkdir()
    content = without_gaps(official, nats_bench, 3)
    meta = {**content, "arch2infos": None, "evaluated_indexes": set()}
    nats_bench.pickle_save(meta, str(folder / "meta.pickle"))
    for index, infos in content["arch2infos"].items():
        nats_bench.pickle_save(infos, str(folder / f"{index:06d}.pickle"))
    both = [
        package.create(str(folder), "tss", fast_mode=True, verbose=False)
        for package in PACKAGES["nats_bench"]
    ]
    check_apis(official, both, ())
    for change in (
        lambda api: api.arch2infos_dict[1]["12"].reset_latency("cifar10", None, 0.25),
        lambda api: api.reload(str(folder), 1),
        lambda api: api.arch2infos_dict[1]["12"].reset_latency("cifar10", None, 0.25),
        lambda api: api.arch2infos_dict.pop(1)["12"].get_latency("cifar10"),
    ):
        official.check_call(*both, change, ())
        check_apis(official, both, ())


@EACH
def test_debug_output(apis, capsys):
    shown = []
    for api in apis:
        results = api.query_by_index(1, hp="12")
        for dataset in results.get_dataset_names():
            results.reset_latency(dataset, None, 0.5)
        results.debug_test()
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]

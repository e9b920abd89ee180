"""What jobs ask for follows from what they have to do."""

import sys
from types import SimpleNamespace

import pandas as pd
import pytest
from snakemake.resources import Resources

from imports import ROOT
from mettle import perturb, schema, tables
from mettle.measures import MEASURES
from mettle.plan import Asked, costs, loads, zoo
from workplace import ATTACK, BASE, Workplace

LARGE = BASE | {"input": {"size": 224, "resize": 256, "mean": [0.5] * 3, "std": [0.25] * 3}}
CELL = {
    "dataset": "ten",
    "set": "group",
    "model": "resnet50-large-s0",
    "images": "natural",
    "attack": "weak",
    "measure": "cka",
}
ON_A_GPU = {"gpu": 1}


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = Workplace(tmp_path)
    found.recipe("large", LARGE)
    found.models([("ten", arch, "large", seed) for seed in range(2) for arch in ("resnet50", "resnet18", "vgg16_bn")])
    return found


def asked(plan, rule, cell=CELL, threads=8, attempt=1, given=None, **limits):
    """MB and minutes of a job, where a profile gives a rule some resources and has some limits."""
    told = SimpleNamespace(resources=Resources.from_mapping(given or {}))
    workflow = SimpleNamespace(global_resources=Resources.from_mapping(limits), get_rule=lambda name: told)
    functions = Asked(plan, workflow)
    return tuple(
        amount(rule)(cell, attempt=attempt, threads=threads, rulename=rule)
        for amount in (functions.memory, functions.minutes)
    )


# It follows from the row and the configuration


@pytest.mark.parametrize("rule", ["represent", "attack", "invert"])
def test_larger_networks_ask_for_more(place, rule):
    small, large = (
        asked(place.plan(), rule, CELL | {"model": f"{arch}-large-s0"}) for arch in ("resnet18", "vgg16_bn")
    )
    assert small[0] < large[0] and small[1] < large[1]


def test_larger_images_ask_for_more(place):
    place.recipe("small", BASE)
    place.models([("ten", "resnet50", "large", 0), ("ten", "resnet50", "small", 0)])
    small, large = (
        asked(place.plan(), "attack", CELL | {"model": f"resnet50-{name}-s0"}) for name in ("small", "large")
    )
    assert small[0] < large[0] and small[1] < large[1] / 10


@pytest.mark.parametrize(
    ("rule", "block", "less", "more", "moves"),
    [
        ("represent", "represent", {"sample": 100}, {"sample": 10_000}, "time"),
        ("represent", "represent", {"batch_size": 32}, {"batch_size": 512}, "memory"),
        ("invert", "invert", {"images": 8}, {"images": 800}, "time"),
        ("invert", "invert", {"steps": 100}, {"steps": 1000}, "time"),
        ("invert", "invert", {"batch_size": 16}, {"batch_size": 256}, "memory"),
        ("compare", "represent", {"sample": 1_000}, {"sample": 40_000}, "both"),
        ("compare", "compare", {"permutations": 0}, {"permutations": 50}, "time"),
        ("subgroups", "compare", {"draws": 1}, {"draws": 50}, "time"),
    ],
)
def test_more_to_do_asks_for_more(place, rule, block, less, more, moves):
    cell = CELL | {"model": "vgg16_bn-large-s1", "measure": "slow"}
    base = {"measures": {"slow": {"method": "procrustes"}}}
    few, many = (
        asked(place.plan(**{"compare": base} | {block: (base if block == "compare" else {}) | options}), rule, cell)
        for options in (less, more)
    )
    assert few[0] < many[0] or moves == "time"
    assert few[1] < many[1] or moves == "memory"


@pytest.mark.parametrize("rule", ["compare", "subgroups", "cross"])
def test_a_model_that_is_compared_with_more_asks_for_more_time(place, rule):
    plan = place.plan(compare={"measures": {"cka": {"method": "procrustes"}}})
    none, three = (asked(plan, rule, CELL | {"model": f"resnet50-large-s{seed}"})[1] for seed in (0, 1))
    assert none == 10 < three


def test_an_attack_on_few_images_asks_for_minutes(place):
    def minutes(**options):
        return asked(place.plan(attack={"attacks": {"weak": ATTACK | options}}), "attack")[1]

    assert minutes(steps=20, images=50) < 120 < minutes(steps=20, images=50_000)
    assert minutes(method="autoattack", images=50, steps=100) > 5 * minutes(images=50)


def test_images_are_counted_once_they_are_packed(place, monkeypatch):
    before = asked(place.plan(), "attack")[1]
    manifest = place.folder / "results" / "prep" / "ten" / "test.parquet"
    manifest.parent.mkdir(parents=True)
    pd.DataFrame({"id": range(100)}).to_parquet(manifest)
    assert tables.length(manifest) == 100
    after = asked(place.plan(), "attack")[1]
    assert after < before / 5
    loads._length.cache_clear()
    with monkeypatch.context() as without_pyarrow:
        without_pyarrow.setitem(sys.modules, "mettle.tables", None)
        assert asked(place.plan(), "attack")[1] == before
    manifest.write_bytes(b"damaged")
    assert asked(place.plan(), "attack")[1] == before


# Where it runs


def test_what_passes_take_is_not_asked_for_beside_a_gpu(place):
    plan = place.plan(attack={"attacks": {"weak": ATTACK | {"images": 10_000}}, "batch_size": 1_000})
    on_cpu, on_gpu = asked(plan, "attack"), asked(plan, "attack", given=ON_A_GPU)
    assert on_cpu[0] > 2 * on_gpu[0] and on_cpu[1] > 5 * on_gpu[1]


def test_gpus_of_all_nodes_count(place):
    place.recipe("large", LARGE | {"epochs": 100})
    minutes = [
        asked(place.plan(), "train", given=given)[1]
        for given in (ON_A_GPU, {"gpu": 2}, {"gpu": 0, "gres": "gpu:a100:4", "nodes": 2})
    ]
    times = [number - 10 for number in minutes]
    assert times[0] == pytest.approx(2 * times[1], rel=0.05) and times[0] == pytest.approx(8 * times[2], rel=0.05)
    assert asked(place.plan(), "train", given={"gpu": 2})[0] > asked(place.plan(), "train", given=ON_A_GPU)[0]


def test_a_slower_gpu_asks_for_more_time_and_nothing_asks_for_more_than_the_longest(place):
    plan = place.plan(attack={"attacks": {"weak": ATTACK | {"steps": 200}}})
    fast, slow = (asked(plan, "attack", given=ON_A_GPU, gflops=speed)[1] for speed in (8_000, 4_000))
    assert slow - 10 == pytest.approx(2 * (fast - 10), rel=0.05)
    assert asked(plan, "attack", longest=120)[1] == 120


def test_a_later_attempt_asks_for_more(place):
    first, third = (asked(place.plan(), "represent", attempt=number) for number in (1, 3))
    assert third == (3 * first[0], 3 * first[1])


# What is not known is taken for the dearest


def test_an_unknown_architecture_costs_as_much_as_the_dearest_of_its_family():
    family = [costs.network(name, 224) for name in costs._networks() if costs._letters(name) == "resnet"]
    assert len(family) > 3 and costs.network("resnet1000", 224) in family
    assert costs.network("resnet1000", 224).training == max(net.training for net in family)
    every = [costs.network(name, 224) for name in costs._networks()]
    assert costs.network("my_own", 224).training == max(net.training for net in every)


def test_everything_that_ships_is_known():
    sheets = sorted((ROOT / "config" / "models").glob("*.tsv"))
    rows = [row for path in sheets for row in schema.read_sheet(path, "models").values()]
    arches = {row["arch"] for row in [*rows, *zoo.entries().values()] if row.get("arch")}
    assert len(sheets) > 1 and arches <= set(costs._networks())
    assert set(costs._measures()) == set(MEASURES)
    assert set(loads.PASSES) == set(perturb.ATTACKS)


def test_an_attack_of_ones_own_is_taken_for_autoattack():
    options = {"steps": 100, "targets": 9, "queries": 5_000, "attacks": ["apgd_ce", "apgd_t", "fab_t", "square"]}
    assert loads.passes({"method": "own"}) == loads.passes(options | {"method": "autoattack"})


# It was enough, and not much more, for VGG-11 on a CPU (docs/cluster.md)


@pytest.mark.parametrize(
    ("rule", "used"), [("represent", 3_773), ("attack", 2_812), ("invert", 1_900), ("convert", 1_612)]
)
def test_jobs_ask_for_more_memory_than_they_used_but_not_for_three_times_as_much(place, rule, used):
    place.models([("ten", "vgg11", "large", 0)])
    plan = place.plan(
        attack={"attacks": {"weak": ATTACK | {"images": 16}}, "batch_size": 16},
        invert={"images": 8, "batch_size": 8},
        represent={"sample": 200, "batch_size": 100},
    )
    assert used < asked(plan, rule, CELL | {"model": "vgg11-large-s0"}, threads=1)[0] < 3 * used

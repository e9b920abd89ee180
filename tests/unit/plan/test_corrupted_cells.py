"""Sets of corruptions: their cells, what jobs are told of them, and one sentence for what is wrong."""

import pytest

from mettle.corruptions import BENCHMARK
from mettle.plan import check_targets
from mettle.plan.work import Work
from workplace import MODELS, Workplace

MODEL = "vgg5-plain-s0"
CELL = {"dataset": "ten", "model": MODEL}
FOLDER = f"results/corrupt/ten/{MODEL}"


@pytest.fixture
def place(tmp_path):
    found = Workplace(tmp_path)
    found.models(MODELS)
    return found


def plan(place, **sets):
    return place.plan(corrupt={"corruptions": sets}, figures={})


def told(found, cell):
    return found.corrupted(CELL | {"corruptions": cell})


def test_a_set_is_one_cell_and_one_for_its_clean_images(place):
    found = plan(place, some={"types": ["noise"], "severities": [3, 1]})
    assert found.corrupt_cells("ten", "some", ["vgg5-plain-s0"]) == [
        f"{FOLDER}/some.parquet",
        f"{FOLDER}/some-clean.parquet",
    ]
    assert told(found, "some")["types"] == ["gaussian_noise", "shot_noise", "impulse_noise"]
    assert told(found, "some")["severities"] == [1, 3]
    assert (told(found, "some-clean")["types"], told(found, "some-clean")["severities"]) == (["clean"], [0])


def test_by_type_there_is_a_cell_for_each_corruption(place):
    found = plan(place, some={"by_type": True})
    assert found.corrupt_cells("ten", "some", [MODEL])[:-1] == [f"{FOLDER}/some-{kind}.parquet" for kind in BENCHMARK]
    assert told(found, "some-fog")["types"] == ["fog"]


def test_clean_images_do_not_depend_on_the_corruptions(place):
    some = plan(place, some={"types": ["fog"], "family": "cifar_c", "images": 9, "parity": ["bgr"]})
    other = plan(place, some={"images": 9, "stored": True})
    assert told(some, "some-clean") == told(other, "some-clean")
    assert told(some, "some-clean")["images"] == 9
    nothing_drawn = CELL | {"corruptions": "some-clean"}
    assert some.seed_of_corruption(nothing_drawn) == 0
    assert plan(place, some={}).seed_of_corruption(nothing_drawn) is None


def test_stores_are_inputs_where_a_set_is_stored_and_change_no_numbers(place):
    on_the_fly = plan(place, some={"types": ["fog"], "severities": [2, 4]})
    stored = plan(place, some={"types": ["fog"], "severities": [2, 4], "stored": True})
    cell = CELL | {"corruptions": "some"}
    assert on_the_fly.corrupted_stores(cell) == []
    paths = [f"results/corrupted/ten/some/fog-{severity}" for severity in (2, 4)]
    assert stored.corrupted_stores(cell) == [f"{path}.{ending}" for path in paths for ending in ("lmdb", "parquet")]
    assert stored.corrupted_stores(CELL | {"corruptions": "some-clean"}) == []
    assert told(stored, "some") == told(on_the_fly, "some")
    one = stored.corruption({"corruptions": "some", "corruption": "fog", "severity": "4"})
    assert one | {"severities": [2, 4]} == told(stored, "some")


def test_textures_of_the_users_are_an_input_of_frost_alone(place, tmp_path):
    (tmp_path / "frosts").mkdir()
    found = plan(place, some={"frosts": str(tmp_path / "frosts"), "by_type": True})
    assert found.frosts({"corruptions": "some-frost"}) == [str(tmp_path / "frosts")]
    assert found.frosts({"corruptions": "some-fog"}) == found.frosts({"corruptions": "some-clean"}) == []
    missing = plan(place, some={"frosts": "nowhere"})
    expected = r"^configuration: corrupt\.corruptions\.some\.frosts: the folder nowhere does not exist$"
    with pytest.raises(ValueError, match=expected):
        missing.frosts({"corruptions": "some"})


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"types": ["fogg"]}, r"'types\.0' is 'fogg': did you mean 'fog'\?$"),
        (
            {"severities": [0]},
            r"'severities\.0' must be at least 1, got 0: the clean image, severity 0, is evaluated in any case$",
        ),
        ({"severities": [6]}, r"'severities\.0' must be at most 5, got 6"),
        ({"family": "cifar"}, r"'family' is 'cifar': did you mean 'cifar_c'\?$"),
        ({"parity": ["brg"]}, r"'parity\.0' is 'brg': did you mean 'bgr'\?$"),
        ({"crop": 16}, r"'crop' must be at least 32, got 16$"),
        ({"resize": 256}, r"resize is 256, but does nothing without `crop`: set crop, or leave resize out$"),
        ({"severity": [1]}, r"unknown key 'severity': did you mean 'severities'\?$"),
    ],
)
def test_what_is_wrong_with_a_set_is_one_sentence(place, entry, message):
    with pytest.raises(ValueError, match=rf"^configuration: corrupt\.corruptions\.some: {message}"):
        plan(place, some=entry)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (f"{FOLDER}/same.parquet", r"unknown set of corruptions 'same': did you mean 'some'\?$"),
        (f"{FOLDER}/each.parquet", r"set 'each' has a cell for each type: name one of each-fog, each-clean$"),
        ("results/corrupted/ten/some/fogg-1.lmdb", r"unknown corruption 'fogg': did you mean 'fog'\?$"),
        ("results/corrupted/ten/some/fog-6.lmdb", r"unknown severity '6'; known: 1, 2, 3, 4, 5$"),
        ("results/corrupted/ten/somme/examples.parquet", r"unknown set of corruptions 'somme': did you mean 'some'\?$"),
    ],
)
def test_a_target_with_an_unknown_name_is_refused(place, target, message):
    found = plan(place, some={}, each={"types": ["fog"], "by_type": True})
    with pytest.raises(ValueError, match=message):
        check_targets(found, [target])
    check_targets(found, [f"{FOLDER}/some-clean.parquet", "results/corrupted/ten/some/fog-5.lmdb"])


def test_the_figure_of_examples_is_made_from_one_file(place):
    figure = {"corruptions": {"dataset": "ten", "corruptions": "some"}}
    found = place.plan(corrupt={"corruptions": {"some": {}}}, figures=figure)
    assert found.cells("corruptions") == ["results/corrupted/ten/some/examples.parquet"]
    shown = found.exemplified({"corruptions": "some"})
    assert (shown["severities"], shown["images"]) == ([1, 2, 3, 4, 5], 1)
    wrong = {"corruptions": {"dataset": "ten", "corruptions": "sum"}}
    expected = r"^configuration: figures\.corruptions\.corruptions: unknown set of corruptions 'sum'"
    with pytest.raises(ValueError, match=expected):
        place.plan(corrupt={"corruptions": {"some": {}}}, figures=wrong)


def test_jobs_ask_for_time_by_the_images_they_make(place):
    found = plan(place, few={"images": 10}, many={}, stored={"stored": True})
    work = Work(found)
    seconds = {name: work.corrupt(CELL | {"corruptions": name}).seconds for name in ("few", "many", "stored")}
    assert 0 == seconds["stored"] < seconds["few"] < seconds["many"]
    assert work.examples({}).seconds > 0


# Corrupted images as published

COLUMNS = "dataset\ttask\tclasses\tsize\treader\tsource\ttrain\ttest\tparent"


@pytest.fixture
def published(place, tmp_path):
    (tmp_path / "datasets.tsv").write_text(
        f"{COLUMNS}\nten\tclassification\t10\t32\tdigits\t\ttrain\ttest\t\n"
        f"two\tclassification\t2\t32\tdigits\t\ttrain\ttest\t\n"
        f"ten_c\tclassification\t10\t32\tcifar_c\t{tmp_path / 'C'}\t\t\tten\n"
    )
    return place


def test_published_images_stand_beside_the_clean_ones_of_their_parent(published, tmp_path):
    found = plan(published, some={"types": ["fog"], "family": "cifar_c", "stored": True})
    cell = {"dataset": "ten_c", "model": MODEL, "corruptions": "some"}
    assert found.clean_store(cell) == ["results/prep/ten/test.lmdb", "results/prep/ten/test.parquet"]
    assert (found.clean_split(cell), found.corrupted_stores(cell)) == ("test", [])
    assert found.published_images(cell) == [str(tmp_path / "C")]
    assert found.published_images(cell | {"corruptions": "some-clean"}) == []
    told_of = found.corrupted(cell)
    assert (told_of["reader"], told_of["types"]) == ("cifar_c", ["fog"])
    assert told_of == plan(published, some={"types": ["fog"]}).corrupted(cell), "the family is the published one"
    assert found.corrupt_cells("ten_c", "some", [MODEL])[0] == f"results/corrupt/ten_c/{MODEL}/some.parquet"


def test_a_published_set_that_lacks_a_type_is_refused(published, tmp_path):
    (tmp_path / "C").mkdir()
    found = plan(published, some={"types": ["fog"]})
    with pytest.raises(ValueError, match=r"datasets\.tsv, row 'ten_c': .*/C/fog\.npy does not exist: unpack fog"):
        found.corrupted({"dataset": "ten_c", "model": MODEL, "corruptions": "some"})


@pytest.mark.parametrize(("column", "value"), [("train", "train"), ("test", "test")])
def test_a_published_set_has_no_splits(published, tmp_path, column, value):
    sheet = tmp_path / "datasets.tsv"
    cells = {"train": "", "test": ""} | {column: value}
    sheet.write_text(sheet.read_text().replace("\t\t\tten\n", f"\t{cells['train']}\t{cells['test']}\tten\n"))
    with pytest.raises(ValueError, match=rf"row 'ten_c': '{column}' must be empty: the images are those of the parent"):
        plan(published, some={})

"""What a change makes again: every key changed once on a small tree, and the page that says so."""

import sys

import pytest

import changes
import told
from imports import ROOT
from mettle.data.readers import READERS
from mettle.plan import given

sys.path.append(str(ROOT / "docs"))
import make_reruns


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reruns")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield changes.Tree(folder)


@pytest.fixture(scope="module")
def page(tree):
    """Rules that a change makes run again, by heading and key."""
    found, heading = {}, ""
    text = make_reruns.text(tree)
    for line in text.splitlines():
        if line.startswith("## "):
            heading = line.removeprefix("## ")
        elif line.startswith("| `"):
            key, rules = line.strip("| ").split(" | ")
            found[heading, key.strip("`")] = set(rules.replace("`", "").split(", ")) - {"nothing"}
    return text, found


def test_the_page_is_up_to_date(page):
    assert (ROOT / "docs" / "reruns.md").read_text() == page[0], "run `make docs`"


def test_the_tree_uses_every_rule(tree):
    assert {rule for rule, _ in tree.told()} == set(told.RULES) - {"given"}


@pytest.mark.parametrize(
    ("heading", "key", "rules"),
    [
        ("datasets.tsv", "licence", {"card", "hub"}),
        ("datasets.tsv", "sha256", set()),
        ("datasets.tsv", "size", set()),
        ("datasets.tsv", "home", {"publish", "publish_perturbed"}),
        ("datasets.tsv", "subset", {"prep"}),
        ("Sheets of models", "label", {"tabulate_figure", "model_card", "submission"}),
        ("Sheets of models", "arch", {"train", "transfer", "convert", "convert_dense"}),
        ("Sheets of models", "seed", {"train", "convert"}),
        ("Sheets of models", "sha256", set()),
        ("Sheets of models", "mean", {"convert"}),
        ("Configuration", "plugins", {"train", "convert"}),
        ("Sheets of models", "source", {"convert", "convert_dense"}),
        ("Sheets of models", "mirror", {"card"}),
        ("Sheets of models", "licence", {"card"}),
        ("Configuration", "expected", {"card", "model_card"}),
        ("Configuration", "attack.batch_size", set()),
        ("Configuration", "represent.batch_size", set()),
        ("Configuration", "invert.batch_size", set()),
        ("Configuration", "train.devices", set()),
        ("Configuration", "figures.FIGURE.*", {"tabulate_figure"}),
        ("Configuration", "attack.attacks.NAME.*", {"attack", "pictures", "perturb"}),
        ("Sheets of models", "transfer", {"tabulate_figure", "train", "transfer"}),
        ("Recipes", "epochs", {"train", "transfer"}),
        ("Recipes", "upernet.channels", {"transfer", "convert_dense"}),
        ("Recipes", "mask_rcnn.channels", {"transfer", "convert_dense"}),
        ("Recipes", "input.size", {"train", "convert"}),
    ],
)
def test_a_change_makes_again_what_it_bears_on(page, heading, key, rules):
    assert page[1][heading, key] == rules


def test_own_code_is_an_input_where_weights_are_made_with_it_and_nowhere_else(tree):
    using = {}
    for (rule, output), (_, inputs) in tree.base.items():
        for path in {"raw/net.py", "raw/plugin.py"} & {*inputs}:
            using.setdefault(path, set()).add((rule, output.split("/")[2]))
    assert using == {
        "raw/net.py": {("convert", "own")},
        "raw/plugin.py": {("convert", "plugged"), ("train", "trained")},
    }


def test_the_seed_is_for_rules_that_draw(page):
    assert page[1]["Configuration", "seed"].isdisjoint({"train", "convert", "agree", "cross", "invert", "figure"})
    assert {"attack", "pair", "prep", "compare", "tabulate_figure"} <= page[1]["Configuration", "seed"]


def test_the_seed_makes_a_folder_no_other_data_set_and_a_figure_without_draws_no_other_table(tree):
    before, after = tree.told(), tree.told(changes.put(changes.CONFIG, "seed", 1))
    changed = {key[1] for key in before if before[key] != after[key]}
    assert "results/prep/scenes/train.lmdb" in changed and "results/prep/photos/train.lmdb" not in changed
    assert "results/tables/fig2.parquet" in changed and "results/tables/accuracy.parquet" not in changed


def test_a_data_set_added_to_an_evaluation_makes_its_own_cells_only(tree):
    few = [{"datasets": ["digits"], "attacks": ["weak"]}]
    more = [{"datasets": ["digits", "photos"], "attacks": ["weak"]}]
    blocks = {key: changes.CONFIG[key] for key in ("plugins", "attack", "invert")}
    only = blocks | {"figures": {"accuracy": {"evaluations": few}}}
    before, after = tree.told(only), tree.told(changes.put(only, "figures.accuracy.evaluations", more))
    assert told.again(before, after)[0] == {"tabulate_figure"}
    new = {key for key in after.keys() - before.keys() if key[0] == "attack"}
    assert new and all("/photos/" in path for _, path in new)


def test_a_model_at_the_end_of_the_sheet_changes_no_cell(tree):
    row = "resnet50-bare-s1||photos|resnet50|bare|1|train|||\n"
    changed, new = told.again(tree.told(), tree.told(models=changes.MODELS + row))
    assert changed <= {"tabulate_figure"} and {"train", "compare"} <= new


def test_a_rule_counts_no_text_for_people(tree):
    told_ = [repr(params) for params, _ in tree.told().values()]
    assert any("cat" in text or "photos" in text for text in told_)
    for word in ("somewhere", "'licence'", "batch_size': 250"):
        rules = {key[0] for key, text in zip(tree.told(), told_, strict=True) if word in text}
        assert rules <= {"publish", "publish_perturbed", "card", "hub", "browse"}, (word, rules)


# Local files are inputs


def inputs(tree, rule, path, **sheets):
    return tree.told(**sheets)[rule, path][1]


def test_a_checkpoint_is_an_input(tree):
    assert inputs(tree, "convert", "results/train/resnet18-bare-s0/weights.safetensors") == ["raw/a.pt"]


def test_class_folders_and_lists_are_inputs_and_images_are_not(tree):
    assert inputs(tree, "prep", "results/prep/photos/train.lmdb") == [
        "raw/photos/train/cat",
        "raw/photos/train/dog",
        "lists/two.txt",
        "lists/names.txt",
    ]
    assert "lists/names.txt" in inputs(tree, "prep", "results/prep/part/test.lmdb")  # of its parent


def test_an_archive_is_an_input(tree):
    assert inputs(tree, "prep", "results/prep/packed/test.lmdb") == ["raw/packed.tar.gz"]


def test_readers_that_need_no_source_or_draw_are_those_of_the_registry():
    assert {name for name, reader in READERS.items() if reader.generated} == given.GENERATED
    assert given.DRAWN <= given.GENERATED

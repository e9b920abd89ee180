"""Schemas: every key is described, defaults are filled in, and what is wrong is one sentence that names the place."""

import jsonschema
import pytest
import yaml

from mettle import schema

FILES = sorted(path.name.removesuffix(".schema.yaml") for path in schema.FOLDER.glob("*.schema.yaml"))
# Maps whose keys the user chooses; what stands under a key is checked against attacks, measures, or a recipe.
FREE = {"config.attack.attacks", "config.compare.measures", "recipe.loss_options", "sweep.grid", "sweep.set"}
HEAD = "dataset\ttask\tclasses\tsize\treader\tversion\n"
ROW = "a\tclassification\t10\t32\tdigits\t1\n"


def parts(rules, name):
    """(name, rules, is a property) of a schema and of everything under it."""
    yield name, rules, False
    for key, sub in rules.get("$defs", {}).items():
        yield from parts(sub, f"{name}/{key}")
    for key, sub in rules.get("properties", {}).items():
        first, *rest = parts(sub, f"{name}.{key}")
        yield first[0], first[1], True
        yield from rest


def every():
    return [part for file in FILES for part in parts(schema.load(file), file)]


@pytest.fixture
def sheet(tmp_path):
    def write(text):
        path = tmp_path / "sheet.tsv"
        path.write_text(text)
        return schema.read_sheet(path, "datasets")

    return write


# The schemas themselves


def test_there_are_the_schemas_that_the_workflow_names():
    assert FILES == ["attacks", "config", "datasets", "measures", "models", "published", "recipe", "sweep"]


@pytest.mark.parametrize("file", FILES)
def test_schemas_are_valid_and_have_a_title(file):
    rules = schema.load(file)
    jsonschema.Draft202012Validator.check_schema(rules)
    assert rules["title"] and rules["description"]


def test_every_property_has_a_description():
    assert [
        name
        for name, rules, is_property in every()
        if is_property and "const" not in rules and "description" not in rules
    ] == []


def test_every_object_is_closed_but_those_whose_keys_are_chosen():
    assert {
        name
        for name, rules, _ in every()
        if rules.get("type") == "object" and rules.get("additionalProperties") is not False
    } == FREE


def test_every_default_fits_its_own_schema():
    for name, rules, _ in every():
        if "default" in rules:
            filled = schema._fill(rules["default"] if not isinstance(rules["default"], dict) else {}, rules)
            assert jsonschema.Draft202012Validator(rules).is_valid(filled), name


# Defaults


def test_defaults_are_filled_in_at_all_levels():
    fig5 = {"dataset": "a", "measures": ["cka"], "eps": [0]}
    config = schema.check({"figures": {"fig5": fig5}}, "config", "here")
    assert config["seed"] == 0 and config["models"] == "config/models.tsv"
    assert config["compare"] == {"measures": {}, "permutations": 1, "floor": True, "draws": 5}
    assert config["attack"]["batch_size"] == 250 and config["attack"]["attacks"] == {}
    assert config["attack"]["effectiveness"]["steps"] == [1, 2, 5, 10, 200]
    assert config["figures"]["fig5"] == fig5 | {
        "threat": "l2",
        "resamples": 9999,
        "groups": "agreement",
        "models": None,
    }
    assert "accuracy" not in config["figures"]


@pytest.mark.parametrize(("text", "value"), [("4/255", 4 / 255), ("1/2", 0.5), (0.25, 0.25)])
def test_a_fraction_is_a_number_wherever_the_schema_wants_one(text, value, tmp_path):
    given = {"figures": {"fig5": {"dataset": "a", "measures": ["cka"], "eps": [0, text]}}}
    assert schema.check(given, "config", "here")["figures"]["fig5"]["eps"] == [0, value]
    row = {"method": "pgd", "norm": "linf", "eps": text, "steps": 1}
    assert schema.check(row, "attacks/pgd", "here")["eps"] == value
    sheet = tmp_path / "published.tsv"
    sheet.write_text(f"model\tnorm\teps\timages\tclean\tautoattack\tsource\na\tlinf\t{text}\tb\t0.5\t0.5\tc\n")
    assert schema.read_sheet(sheet, "published")["a"]["eps"] == value


@pytest.mark.parametrize("text", ["4/0", "a/b", "four", "4/255/3"])
def test_text_that_is_no_fraction_is_refused(text):
    row = {"method": "pgd", "norm": "linf", "eps": text, "steps": 1}
    with pytest.raises(ValueError, match=r"^here: 'eps' must be of type number, got '"):
        schema.check(row, "attacks/pgd", "here")


def test_given_values_win_and_the_argument_is_left_alone():
    given = {"figures": {}, "compare": {"draws": 2}}
    filled = schema.check(given, "config", "here")
    assert filled["compare"] == {"draws": 2, "measures": {}, "permutations": 1, "floor": True}
    assert given == {"figures": {}, "compare": {"draws": 2}}


def test_defaults_are_not_shared_between_calls():
    first = schema.check({"figures": {}}, "config", "here")
    first["compare"]["measures"]["cka"] = {}
    assert schema.check({"figures": {}}, "config", "here")["compare"]["measures"] == {}


# Messages


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"atack": {}}, r"^here: unknown key 'atack': did you mean 'attack'\?$"),
        ({"compare": {"drawss": 1}}, r"^here: unknown key 'compare\.drawss': did you mean 'draws'\?$"),
        ({"represent": {"zzz": 1}}, r"^here: unknown key 'represent\.zzz'; known: batch_size, sample$"),
        ({"seed": "x"}, r"^here: 'seed' must be of type integer, got 'x'$"),
        ({"seed": 1.5}, r"^here: 'seed' must be of type integer, got 1\.5$"),
        ({"seed": True}, r"^here: 'seed' must be of type integer, got True$"),
        ({"seed": -1}, r"^here: 'seed' must be at least 0, got -1$"),
        ({"precision": "fp64"}, r"^here: 'precision' is 'fp64'; known: bf16, fp32$"),
        ({"precision": "fp23"}, r"^here: 'precision' is 'fp23': did you mean 'fp32'\?$"),
        ({"figures": {"accuracy": {}}}, r"^here: key 'figures\.accuracy\.evaluations' is missing$"),
        (
            {"figures": {"accuracy": {"evaluations": []}}},
            r"^here: 'figures\.accuracy\.evaluations' needs at least 1 entry",
        ),
        ({"attack": {"attacks": {"a-b": {}}}}, r"^here: 'attack\.attacks' may only hold letters, digits.*got 'a-b'$"),
        ({"attack": None}, r"^here: 'attack' must be of type object, got None$"),
    ],
)
def test_what_is_wrong_is_one_sentence_with_the_key(change, message):
    with pytest.raises(ValueError, match=message):
        schema.check({"figures": {}} | change, "config", "here")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"input": {"size": 8, "mean": [0.5], "std": [1, 1, 1]}},
            r"'input\.mean' needs at least 3 entries, got \[0\.5\]",
        ),
        ({"label_smoothing": 2}, r"'label_smoothing' must be at most 1, got 2"),
        ({"clip_norm": 0}, r"'clip_norm' must be more than 0, got 0"),
    ],
)
def test_bounds_of_a_recipe(change, message):
    recipe = {
        "epochs": 1,
        "batch_size": 1,
        "optimizer": {"name": "sgd", "lr": 0.1, "weight_decay": 0},
        "schedule": {"name": "step"},
        "input": {"size": 8, "mean": [0.5] * 3, "std": [1, 1, 1]},
    }
    assert schema.check(recipe, "recipe", "here")["augment"]["horizontal_flip"] is False
    with pytest.raises(ValueError, match=message):
        schema.check(recipe | change, "recipe", "here")


def test_unknown_definition_is_named():
    with pytest.raises(ValueError, match=r"unknown measure 'ckaa': did you mean 'cka'\?"):
        schema.load("measures/ckaa")


# Sheets


def test_cells_have_the_types_of_the_schema_and_empty_ones_the_default(sheet):
    row = sheet(HEAD + "a\tclassification\t10\t32\tdigits\t\n")["a"]
    assert (row["classes"], row["version"], row["train"]) == (10, "", "")
    assert isinstance(row["classes"], int)
    assert sheet(HEAD + ROW)["a"]["version"] == "1"


def test_rows_keep_their_order_and_comments_are_skipped(sheet):
    rows = sheet("# a comment\n" + HEAD + ROW.replace("a\t", "b\t", 1) + "# another\n" + ROW)
    assert list(rows) == ["b", "a"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + ROW + ROW, r"sheet\.tsv, row 'a': stands twice in the sheet$"),
        (HEAD + ROW.replace("10", "ten"), r"sheet\.tsv, row 'a': 'classes' must be a integer, got 'ten'$"),
        (HEAD + ROW.replace("10", "1.5"), r"sheet\.tsv, row 'a': 'classes' must be a integer, got '1\.5'$"),
        (HEAD + ROW.replace("10", "1"), r"sheet\.tsv, row 'a': 'classes' must be at least 2, got 1$"),
        (HEAD + ROW.replace("digits", "digit"), r"sheet\.tsv, row 'a': 'reader' is 'digit': did you mean 'digits'\?$"),
        (HEAD.replace("task", "taks") + ROW, r"sheet\.tsv, row 'a': unknown key 'taks': did you mean 'task'\?$"),
        (HEAD + "a\tclassification\t10\t32\n", r"sheet\.tsv, row 'a': key 'reader' is missing$"),
        (HEAD + ROW[1:], r"sheet\.tsv, row '2': key 'dataset' is missing$"),
        (HEAD + ROW + ROW.replace("\n", "\tmore\n"), r"sheet\.tsv cannot be read as a tab-separated sheet: .*line 3"),
        (HEAD + ROW.replace("\n", "\tmore\n"), r"sheet\.tsv cannot be read.*: rows have more cells than the head$"),
        ("", r"sheet\.tsv cannot be read as a tab-separated sheet"),
    ],
)
def test_what_is_wrong_in_a_sheet_names_file_and_row(sheet, text, message):
    with pytest.raises(ValueError, match=message):
        sheet(text)


def test_missing_sheet_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"none\.tsv cannot be read as a tab-separated sheet: .*No such file"):
        schema.read_sheet(tmp_path / "none.tsv", "datasets")


# YAML


def test_yaml_is_read_and_an_empty_file_is_an_empty_mapping(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(yaml.safe_dump({"a": [1, 2]}))
    assert schema.read_yaml(path) == {"a": [1, 2]}
    path.write_text("# nothing yet\n")
    assert schema.read_yaml(path) == {}


def test_yaml_errors_name_the_file_and_the_line(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("a: 1\nb: [1, 2\nc: 3\n")
    with pytest.raises(ValueError, match=r"a\.yaml is not valid YAML: .*line 3, column 2") as caught:
        schema.read_yaml(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=r"none\.yaml does not exist$"):
        schema.read_yaml(tmp_path / "none.yaml")

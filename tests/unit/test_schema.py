"""Schemas: every key is described, defaults are filled in, and what is wrong is one sentence that names the place."""

import jsonschema
import pytest
import yaml

from mettle import schema

FILES = sorted(path.name.removesuffix(".schema.yaml") for path in schema.FOLDER.glob("*.schema.yaml"))
# Maps whose keys the user chooses; what stands under a key is checked against attacks, measures, or a recipe.
FREE = {
    "config.sets",
    "config.invert.lists",
    "config.attack.attacks",
    "config.corrupt.corruptions",
    "config.drift.attacks",
    "config.represent.layers",
    "config.corrupt.references",
    "config.compare.measures",
    "recipe.loss_options",
    "sweep.grid",
    "sweep.set",
}
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
    if isinstance(others := rules.get("additionalProperties"), dict) and "properties" in others:
        yield from parts(others, f"{name}.NAME")


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
    assert FILES == [
        "attacks",
        "config",
        "corruptions",
        "datasets",
        "feature_attack",
        "figures",
        "head",
        "measures",
        "models",
        "preprocessing",
        "published",
        "recipe",
        "sweep",
        "tokens",
        "zoo",
    ]


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


def every_part(rules):
    """A schema and all mappings in it."""
    if isinstance(rules, dict):
        yield rules
    for part in rules.values() if isinstance(rules, dict) else rules if isinstance(rules, list) else ():
        yield from every_part(part)


def test_no_message_shows_a_regular_expression():
    for file in FILES:
        patterns = [part for part in every_part(schema.load(file)) if isinstance(part.get("pattern"), str)]
        assert [part for part in patterns if "words" not in part and part["pattern"] != "/"] == [], file


def test_every_rule_of_the_schemas_has_words_for_what_breaks_it():
    kinds = {key for file in FILES for part in every_part(schema.load(file)) for key in part}
    rules = kinds & {*jsonschema.Draft202012Validator.VALIDATORS} - {
        "properties",
        "items",
        "if",
        "allOf",
        "propertyNames",
    }
    rules -= {"format", "additionalProperties", "required", "enum", "pattern", "type"}
    assert rules <= {*schema._RULES}


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
    assert config["seed"] == 0 and config["models"] == "config/models/demo.tsv"
    assert config["compare"] == {
        "measures": {},
        "permutations": 1,
        "level": 0.05,
        "floor": True,
        "draws": 5,
        "few": 30,
    }
    assert config["attack"]["batch_size"] == 250 and config["attack"]["attacks"] == {}
    assert config["attack"]["effectiveness"]["steps"] == [1, 2, 5, 10, 200]
    assert config["figures"]["fig5"] == fig5 | {
        "threat": "l2",
        "resamples": 9999,
        "groups": "agreement",
        "models": None,
    }
    assert "accuracy" not in config["figures"]


@pytest.mark.parametrize(
    ("text", "value"),
    [("4/255", 4 / 255), ("1/2", 0.5), (0.25, 0.25), ("1e-3", 0.001), ("25E-2", 0.25), (".5", 0.5), ("1e-1/4", 0.025)],
)
def test_a_fraction_is_a_number_wherever_the_schema_wants_one(text, value, tmp_path):
    given = {"figures": {"fig5": {"dataset": "a", "measures": ["cka"], "eps": [0, text]}}}
    assert schema.check(given, "config", "here")["figures"]["fig5"]["eps"] == [0, value]
    row = {"method": "pgd", "norm": "linf", "eps": text, "steps": 1}
    assert schema.check(row, "attacks/pgd", "here")["eps"] == value
    sheet = tmp_path / "published.tsv"
    sheet.write_text(f"model\tnorm\teps\timages\tclean\tautoattack\tsource\na\tlinf\t{text}\tb\t0.5\t0.5\tc\n")
    assert schema.read_sheet(sheet, "published")["a"]["eps"] == value


@pytest.mark.parametrize("text", ["4/0", "a/b", "four", "4/255/3", "1e", "0,5", "1_0", "nan", "inf", "/2"])
def test_text_that_is_no_number_is_refused(text):
    row = {"method": "pgd", "norm": "linf", "eps": text, "steps": 1}
    with pytest.raises(ValueError, match=r"^here: 'eps' must be a number or own, got '"):
        schema.check(row, "attacks/pgd", "here")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_passes_every_bound_is_no_number(value):
    with pytest.raises(ValueError, match=r"^here: 'eps' must be a number or own, got -?(nan|inf)$"):
        schema.check({"method": "pgd", "norm": "l2", "eps": value, "steps": 1}, "attacks/pgd", "here")


@pytest.mark.parametrize(
    ("value", "whole"), [("1e3", 1000), (1000.0, 1000), ("1000", 1000), ("12345678901234567", 12345678901234567)]
)
def test_a_whole_number_is_an_integer_however_it_is_written(value, whole):
    found = schema.check({"figures": {}, "seed": value}, "config", "here")["seed"]
    assert found == whole and isinstance(found, int)


def test_yaml_takes_an_exponent_without_a_point_for_text_and_we_do_not(tmp_path):
    (tmp_path / "a.yaml").write_text("{method: pgd, norm: l2, eps: 1e-3, steps: 1}")
    read = schema.read_yaml(tmp_path / "a.yaml")
    assert isinstance(read["eps"], str)
    assert schema.check(read, "attacks/pgd", "here")["eps"] == 0.001


def test_given_values_win_and_the_argument_is_left_alone():
    given = {"figures": {}, "compare": {"draws": 2}}
    filled = schema.check(given, "config", "here")
    assert filled["compare"] == {
        "draws": 2,
        "few": 30,
        "measures": {},
        "permutations": 1,
        "level": 0.05,
        "floor": True,
    }
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
        ({"represent": {"zzz": 1}}, r"^here: unknown key 'represent\.zzz'; known: batch_size, layers, pool, sample$"),
        ({"seed": "x"}, r"^here: 'seed' must be an integer, got 'x'$"),
        ({"seed": 1.5}, r"^here: 'seed' must be an integer, got 1\.5$"),
        ({"seed": True}, r"^here: 'seed' must be an integer, got true$"),
        ({"seed": -1}, r"^here: 'seed' must be at least 0, got -1$"),
        ({"precision": "fp64"}, r"^here: 'precision' is 'fp64'; known: bf16, fp32$"),
        ({"precision": "fp23"}, r"^here: 'precision' is 'fp23': did you mean 'fp32'\?$"),
        ({"figures": {"accuracy": {}}}, r"^here: key 'figures\.accuracy\.evaluations' is missing$"),
        (
            {"figures": {"accuracy": {"evaluations": []}}},
            r"^here: 'figures\.accuracy\.evaluations' needs at least 1 entry",
        ),
        ({"attack": {"attacks": {"a-b": {}}}}, r"^here: 'attack\.attacks' has a name with other char.*, got 'a-b'$"),
        ({"attack": None}, r"^here: 'attack' must be a block of keys, got null$"),
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
        (
            {"input": {"size": 8, "mean": [123.675, 0.5, 0.5], "std": [1, 1, 1]}},
            r"'input\.mean\.0' must be at most 1, got 123\.675: pixels are in \[0, 1\], so divide what is meant for 0 "
            r"to 255 by 255, that is 123\.675/255$",
        ),
        (
            {"input": {"size": 8, "mean": [0.5] * 3, "std": [0.2, 0.2, 57.375]}},
            r"'input\.std\.2' must be at most 1, got 57\.375: .*, that is 57\.375/255$",
        ),
        ({"input": {"size": 8, "mean": [-1, 0, 0], "std": [1, 1, 1]}}, r"'input\.mean\.0' must be at least 0, got -1$"),
        ({"input": {"size": 8, "mean": [0] * 4, "std": [1] * 3}}, r"'input\.mean' takes at most 3 entries, got"),
        ({"drop_path": 1}, r"'drop_path' must be less than 1, got 1$"),
        ({"checkpoints": "all"}, r"'checkpoints' must be a list, got 'all'$"),
        ({"augment": {"horizontal_flip": 1}}, r"'augment\.horizontal_flip' must be true or false, got 1$"),
        ({"clip_norm": "none"}, r"'clip_norm' must be a number or null, got 'none'$"),
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
        (HEAD + ROW + ROW, r"sheet\.tsv, line 3, row 'a': appears twice in the sheet, first in line 2$"),
        (HEAD + ROW.replace("10", "ten"), r"sheet\.tsv, line 2, row 'a': 'classes' must be an integer, got 'ten'$"),
        (HEAD + ROW.replace("10", "1.5"), r"sheet\.tsv, line 2, row 'a': 'classes' must be an integer, got 1\.5$"),
        (HEAD + ROW.replace("10", "nan"), r"sheet\.tsv, line 2, row 'a': 'classes' must be an integer, got 'nan'$"),
        (HEAD + ROW.replace("10", "0"), r"sheet\.tsv, line 2, row 'a': 'classes' must be at least 1, got 0$"),
        (HEAD + ROW.replace("digits", "digit"), r"line 2, row 'a': 'reader' is 'digit': did you mean 'digits'\?$"),
        (HEAD.replace("task", "taks") + ROW, r"sheet\.tsv, line 1: unknown column 'taks': did you mean 'task'\?$"),
        (HEAD.replace("\ttask", "") + ROW, r"sheet\.tsv, line 1: column 'task' is missing$"),
        (HEAD.replace("version", "task") + ROW, r"sheet\.tsv, line 1: column 'task' appears twice$"),
        (HEAD.replace("task", "") + ROW, r"sheet\.tsv, line 1: column 2 has no name$"),
        (HEAD + "a\tclassification\t10\t32\n", r"sheet\.tsv, line 2, row 'a': column 'reader' is empty$"),
        (HEAD + "\n# b\n" + ROW[1:], r"sheet\.tsv, line 4, row '': column 'dataset' is empty$"),
        (HEAD + ROW + ROW.replace("\n", "\tmore\n"), r"line 3: has 7 cells for 6 columns, the last one 'more'$"),
        (HEAD + ROW.replace("\n", "\t\t\tmore\n"), r"line 2: has 9 cells for 6 columns, the last one 'more'$"),
        (
            HEAD + ROW.replace("\t", "    "),
            r"line 2: has one cell only, 'a    class.*': tabs separate the cells of a row",
        ),
        (HEAD.replace("\t", ";") + ROW, r"line 1: the head of the sheet has no tabs: save it as tab-sep"),
        (HEAD.replace("\t", ",") + ROW.replace("\t", ","), r"line 1: the head of the sheet has no tabs"),
        (HEAD + ROW.replace("1\n", '"1\n') + ROW, r"line 2: a quotation mark opens a cell and does not close it: \"1$"),
        (HEAD + ROW.replace("a", '"a"" b', 1), r"line 2: a quotation mark opens a cell and does not close it"),
        (HEAD + '"a', r"line 2: a quotation mark opens a cell and does not close it: \"a$"),
        (HEAD + ROW.replace("a", "\u0430", 1), r"line 2, row '\u0430': 'dataset' may only hold letters, digits and"),
        ("", r"sheet\.tsv, line 1: the head of the sheet has no tabs"),
        ("# nothing but this\n", r"sheet\.tsv, line 1: the head of the sheet has no tabs"),
    ],
)
def test_what_is_wrong_in_a_sheet_names_file_and_row(sheet, text, message):
    with pytest.raises(ValueError, match=message):
        sheet(text)


PLAIN = {"dataset": "a", "task": ["classification"], "classes": 10, "size": 32, "reader": "digits", "version": "1"}
# Ways in which people and spreadsheets write one and the same sheet: bytes, made from its text.
WAYS = {
    "as it is": str.encode,
    "no last newline": lambda text: text.rstrip("\n").encode(),
    "line ends of Windows": lambda text: text.replace("\n", "\r\n").encode(),
    "line ends of an old Macintosh": lambda text: text.replace("\n", "\r").encode(),
    "byte order mark": lambda text: text.encode("utf-8-sig"),
    "UTF-16, little end": lambda text: b"\xff\xfe" + text.encode("utf-16-le"),
    "UTF-16, big end": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    "blanks around cells": lambda text: text.replace("\t", " \t  ").encode(),
    "blanks around lines": lambda text: text.replace("\n", "  \n ").encode(),
    "no-break spaces": lambda text: text.replace("\t", "\xa0\t\u202f").replace("\n", "\u2007\n").encode(),
    "marks of no width": lambda text: text.replace("\t", "\u200b\t\ufeff\u200e").encode(),
    "blank lines": lambda text: text.replace("\n", "\n\n \t\n").encode(),
    "empty cells at the end": lambda text: text.replace("\n", "\t\t\t\n").encode(),
    "empty rows at the end": lambda text: (text + "\t\t\t\t\t\n" * 3).encode(),
    "comments": lambda text: ("# first\n" + text.replace("\n", '\n  # a "comment\t\n')).encode(),
    "quotation marks around cells": lambda text: text.replace("\t", '"\t"').replace("\n", '"\n').encode(),
    "quotation marks around a comment": lambda text: ('"# no, ""not"" this"\t\t\n' + text).encode(),
    "columns in another order": lambda text: "\n".join(
        "\t".join(reversed(line.split("\t"))) for line in text.splitlines()
    ).encode(),
    "whole numbers with a point": lambda text: text.replace("10", "10.0").encode(),
}


@pytest.mark.parametrize("write", WAYS.values(), ids=WAYS)
def test_a_sheet_is_read_as_it_is_meant_however_it_is_written(tmp_path, write):
    text = HEAD + ROW + ROW.replace("a", "b", 1)
    if write is WAYS["quotation marks around cells"]:
        text = "".join(f'"{line}\n' for line in text.splitlines())
    (tmp_path / "sheet.tsv").write_bytes(write(text))
    rows = schema.read_sheet(tmp_path / "sheet.tsv", "datasets")
    assert list(rows) == ["a", "b"]
    assert rows["a"] | PLAIN == rows["a"] and rows["b"] | PLAIN == rows["b"] | {"dataset": "a"}


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        ('from "the" web', 'from "the" web'),
        ('5" disk', '5" disk'),
        ('"quoted"', "quoted"),
        ('"with ""marks"" in it"', 'with "marks" in it'),
        ('"a" and "b"', '"a" and "b"'),
        ("it's # one, or; two", "it's # one, or; two"),
        ("NA", "NA"),
        ("a\u2028b \x85 c", "a\u2028b \x85 c"),
        ('""', ""),
    ],
)
def test_a_cell_of_text_is_what_a_reader_sees(sheet, cell, found):
    rows = sheet(HEAD + ROW.replace("1\n", f"{cell}\n") + ROW.replace("a", "b", 1))
    assert list(rows) == ["a", "b"] and rows["a"]["version"] == found


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (HEAD.encode() + b"caf\xe9\tx\n", r"sheet\.tsv, line 2: is not UTF-8 text: save it as UTF-8$"),
        (HEAD.encode("utf-16-le"), r"sheet\.tsv holds bytes that are not text: save it as UTF-8$"),
        (b"\xff\xfea", r"sheet\.tsv, line 1: is not UTF-8 text"),
    ],
)
def test_a_sheet_in_another_encoding_is_refused(tmp_path, data, message):
    (tmp_path / "sheet.tsv").write_bytes(data)
    with pytest.raises(ValueError, match=message):
        schema.read_sheet(tmp_path / "sheet.tsv", "datasets")


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


@pytest.mark.parametrize(
    ("text", "line"),
    [("a: 1\nb: 2\na: 3\n", 3), ("a:\n  b: 1\n  c: 1\n  b: 2\n", 4), ("- {b: 1, c: [{b: 1}], b: 2}", 1)],
)
def test_a_key_that_appears_twice_is_refused(tmp_path, text, line):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"a\.yaml, line {line}: key '[ab]' appears twice in its block$"):
        schema.read_yaml(path)


def test_yaml_anchors_and_merged_blocks_are_read(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("\ufeffa: &a {b: 1}\nc: *a\nd: {<<: *a, b: 2}\n", encoding="utf-8")
    assert schema.read_yaml(path) == {"a": {"b": 1}, "c": {"b": 1}, "d": {"b": 2}}


def test_yaml_errors_name_the_file_and_the_line(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("a: 1\nb: [1, 2\nc: 3\n")
    with pytest.raises(ValueError, match=r"a\.yaml is not valid YAML: .*line 3, column 2") as caught:
        schema.read_yaml(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=r"none\.yaml does not exist$"):
        schema.read_yaml(tmp_path / "none.yaml")


# Names that a schema declares


def test_a_registry_implements_what_is_declared():
    schema.check_registry("config.train.loggers", ["tensorboard", "wandb"])
    with pytest.raises(ValueError, match=r"^'mine' is .* not declared for .*: add it to .*/config"):
        schema.check_registry("config.train.loggers", ["tensorboard", "wandb", "mine"])
    with pytest.raises(ValueError, match=r"/config\.schema\.yaml declares 'wandb' for .*, but nothing implements it"):
        schema.check_registry("config.train.loggers", ["tensorboard"])


def test_an_empty_name_is_none():
    assert schema.names("models.format") == [
        "madry",
        "timm",
        "bai",
        "swin",
        "openmmlab",
        "efficientnet",
        "trades",
        "deepmind",
        "kuangliu",
        "dinov2",
    ]
    assert "cka" in schema.names("measures")


def test_truth_and_null_may_be_text_as_the_command_line_gives_them():
    found = schema.filled({"cards": {"complete": "true"}, "show": "null"}, "config")
    assert found["cards"]["complete"] is True and found["show"] is None
    assert schema.filled({"cards": {"complete": "false"}}, "config")["cards"]["complete"] is False
    assert schema.filled({"results": "true"}, "config")["results"] == "true", "text stays text"

"""The layers of the library, read off its imports: data flows one way, and stages meet only in files."""

import ast
import re

import pytest

from imports import ROOT, SCRIPTS, closure, imports, packages

LIBRARY = SCRIPTS / "mettle"
# Each may import those to its left.
PRIMITIVES = [
    "files",
    "markup",
    "text",
    "typed",
    "units",
    "compiled",
    "scales",
    "digests",
    "seeds",
    "cuda",
    "schema",
    "corruptions",
    "tables",
    "stats",
    "plan",
    "flow",
    "data",
    "models",
    "distributed",
    "perturb",
    "augment",
    "tasks",
    "evaluation",
    "measures",
]
STAGES = [
    "prep",
    "train",
    "transfer",
    "tokens",
    "heads",
    "drift",
    "attack",
    "corrupt",
    "invert",
    "represent",
    "layers",
    "compare",
    "probe",
    "tabulate",
    "plot",
    "publish",
    "download",
    "browse",
    "layouts",
    "cards",
]
ABOVE = {"controller": set(), "commands": {"stages.train"}}  # what runs beside jobs, and the stages that it imports
RULES = sorted(path for path in SCRIPTS.glob("*.py") if path.name != "demo.py")
FILES = sorted(LIBRARY.rglob("*.py"))


def part(path):
    """First name below `mettle` of a file, with the second for a stage."""
    return named(path.relative_to(LIBRARY).with_suffix("").as_posix().replace("/", "."))


def named(module):
    """The part that a module below `mettle` is in."""
    parts = module.split(".")
    return ".".join(parts[: 2 if parts[0] == "stages" else 1])


def files(name):
    return [path for path in FILES if part(path) == name]


def ours(path):
    """Other parts of the library that a file imports."""
    found = {named(name.removeprefix("mettle.")) for name in imports(path) if name.startswith("mettle.")}
    return found & PARTS - ({part(path)} if path.is_relative_to(LIBRARY) else set())


PARTS = {*PRIMITIVES, *ABOVE, *(f"stages.{name}" for name in STAGES)}


def users(package):
    """Parts of the library that import a package or module of others."""
    return {
        part(path) for path in FILES if any(name == package or name.startswith(f"{package}.") for name in imports(path))
    }


def test_every_part_has_its_place():
    assert {part(path) for path in FILES} == PARTS | {"__init__", "stages.__init__"}


def test_contributing_lists_the_primitives_in_their_order():
    listed = (ROOT / "CONTRIBUTING.md").read_text().split("import primitives (")[1].split(", each of which")[0]
    assert re.findall(r"`(\w+)`", listed) == PRIMITIVES


@pytest.mark.parametrize("name", PRIMITIVES)
def test_primitives_import_only_those_to_their_left(name):
    allowed = set(PRIMITIVES[: PRIMITIVES.index(name)])
    for path in files(name):
        assert ours(path) <= allowed, path


@pytest.mark.parametrize("name", STAGES)
def test_stages_import_primitives_and_never_each_other(name):
    assert files(f"stages.{name}")
    for path in files(f"stages.{name}"):
        assert ours(path) <= set(PRIMITIVES), path


@pytest.mark.parametrize("name", ABOVE)
def test_nothing_below_imports_what_runs_beside_jobs(name):
    for path in files(name):
        assert ours(path) <= {*PRIMITIVES, *ABOVE[name]}, path
    assert not [path for path in FILES if name in ours(path)]


def test_imports_inside_functions_count_too():
    # Otherwise the tests above would see nothing of what is imported late.
    assert "timm" in imports(LIBRARY / "models" / "architectures.py")


def test_only_tables_touches_parquet():
    assert users("pyarrow.parquet") == {"tables"}
    for path in FILES:
        assert part(path) == "tables" or not re.search(r"(read|to)_parquet\(", path.read_text()), path


def test_only_models_touches_weights():
    assert users("safetensors") == {"models"}


def test_only_data_reads_images():
    assert users("lmdb") == users("simplejpeg") == {"data"}
    assert users("PIL") == {"data", "corruptions"}  # which reduce and compress as Pillow does, and read no file


@pytest.mark.parametrize("name", ["torch", "timm", "snakemake"])
def test_plan_needs_no(name):
    assert name not in packages(LIBRARY / "plan" / "__init__.py")


LIGHT = ["corruptions", "measures", "stats", "tables", "flow", "schema", "controller"]
LIGHT += [f"stages.{name}" for name in ("plot", "tabulate", "compare", "publish")]


@pytest.mark.parametrize("name", LIGHT)
def test_torch_is_not_needed_by(name):
    for path in files(name):
        assert not {"torch", "torchvision", "timm"} & packages(path), path


@pytest.mark.parametrize("name", ["plot", "tabulate"])
def test_no_library_that_computes_a_measure_is_needed_by(name):
    for path in files(f"stages.{name}"):
        assert not {"mettle.measures", "mettle.measures.base"} & imports(path), path
        assert not {"numba", "pot", "ripser"} & packages(path), path


def test_prep_needs_torch_for_data_sets_of_torchvision_alone():
    heavy = {path.name for path in closure(LIBRARY / "stages" / "prep.py") if {"torch", "torchvision"} & imports(path)}
    assert heavy == {"from_torchvision.py"}


def test_nothing_in_the_library_knows_snakemake():
    assert users("snakemake") == set()


# Scripts


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_scripts_are_thin(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 25
    assert ast.get_docstring(ast.parse(text))
    assert "with flow.job(snakemake)" in text
    assert not [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.If | ast.For)]
    assert packages(path), "the closure is empty: imports are no longer read"


def test_scripts_import_one_stage_at_most():
    for path in RULES:
        assert len({name for name in ours(path) if name.startswith("stages.")}) <= 1


def test_the_closure_of_a_script_holds_what_it_imports_by_way_of_others():
    found = {path.relative_to(ROOT).as_posix() for path in closure(SCRIPTS / "train.py")}
    assert "workflow/scripts/mettle/models/small.py" in found
    assert "workflow/scripts/mettle/stages/plot/style.py" not in found

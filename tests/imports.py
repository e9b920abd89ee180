"""What a script imports, read off the sources: modules of ours, and packages of others."""

import ast
import re
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
SCRIPTS = ROOT / "workflow" / "scripts"
# Names under which packages are imported, where they differ from the names they are installed by.
PACKAGES = {
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "google_crc32c": "google-crc32c",
    "gph": "giotto-ph",
    "huggingface_hub": "huggingface-hub",
    "lightning_fabric": "lightning-fabric",
    "mmcv": "onedl-mmcv",
    "mmdet": "onedl-mmdetection",
    "mmengine": "onedl-mmengine",
    "mmseg": "onedl-mmsegmentation",
    "ot": "pot",
    "sklearn": "scikit-learn",
    "tensorflow_datasets": "tensorflow-datasets",
    "yaml": "pyyaml",
}
# Modules that evaluate models of any task: `models.load` imports the adapter of a task by its name.
ANY_TASK = {SCRIPTS / "mettle" / "stages" / stage / "evaluate.py" for stage in ("attack", "corrupt")}
ADAPTERS = sorted((SCRIPTS / "mettle" / "models" / "adapters").glob("*.py"))
# Packages that others import for us, or that are imported by a name put together: the storage format of a library, the
# writer of a log, the storage plugins of the schemes, what mmdetection and mmsegmentation do not say that they need.
BEHIND = {
    "onedl-mmdetection": {"onedl-mmcv"},
    "onedl-mmsegmentation": {"onedl-mmcv"},
    "tensorflow-datasets": {"array-record"},
    "torch.utils.tensorboard": {"tensorboard"},
    "mettle.plan.sources.SCHEMES": {
        "snakemake",  # which the plugins import without saying so
        *(f"snakemake-storage-plugin-{name}" for name in ("gcs", "http", "s3", "zenodo")),
    },
}


def own_rules(file: Path) -> str:
    """Text of a rule file without the rules that use another one (`use rule a as b with:`)."""
    return re.sub(r"^use rule .*?(?=^rule |\Z)", "", file.read_text(), flags=re.MULTILINE | re.DOTALL)


@cache
def module_path(name: str) -> Path | None:
    """File of a module of ours."""
    base = SCRIPTS.joinpath(*name.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.exists()), None)


@cache
def imports(path: Path) -> frozenset[str]:
    """Full names imported anywhere in a file, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(found)


def by_name(path: Path) -> list[Path]:
    """Modules that are imported by names that are given: of a package any of its own, of evaluations any adapter."""
    if path in ANY_TASK:
        return ADAPTERS
    return sorted(path.parent.glob("*.py")) if 'import_module(f"{__name__}.' in path.read_text() else []


@cache
def closure(path: Path) -> frozenset[Path]:
    """A file and all files of ours that it imports, packages' `__init__` included."""
    seen, todo = set(), [path]
    while todo:
        here = todo.pop()
        if here not in seen:
            seen.add(here)
            todo += _taken(here)
    return frozenset(seen)


@cache
def _taken(path: Path) -> frozenset[Path]:
    """Files of ours that a file imports."""
    names = [name.split(".") for name in imports(path) if name.split(".")[0] == "mettle"]
    found = (module_path(".".join(parts[:i])) for parts in names for i in range(1, len(parts) + 1))
    return frozenset(filter(None, (*by_name(path), *found)))


@cache
def packages(path: Path) -> frozenset[str]:
    """Packages of others that a script needs, by the names they are installed by."""
    names = {name for file in closure(path) for name in imports(file)}
    others = {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) - {"mettle"}
    found = {PACKAGES.get(name, name) for name in others}
    return frozenset(found).union(*(behind for name, behind in BEHIND.items() if name in names | found))

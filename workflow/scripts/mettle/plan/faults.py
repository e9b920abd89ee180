"""What is wrong with the names in a path of `results`, each given the earlier ones."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from mettle import schema
from mettle.corruptions import ALL, SEVERITIES
from mettle.plan import corrupted
from mettle.plan.figures import FIGURES
from mettle.plan.limits import check_attack, check_measure

if TYPE_CHECKING:
    from mettle.plan.plan import Plan

Names = Mapping[str, str]  # by wildcard
Check = Callable[["Plan", Names], str | None]

_SETS = "sets of corruptions are the entries of corrupt.corruptions"


def first_fault(plan: "Plan", named: Names) -> str | None:
    """A sentence about the first wrong name of a path, or None.

    Parameters
    ----------
    plan : with all names
    named : the names by their wildcards, those of `targets.PATHS`, in their order; an empty wildcard is passed over
    """
    texts = (_CHECKS[wildcard](plan, named) for wildcard in named if wildcard)
    return next(filter(None, texts), None)


def _name(kind: str, name: str, known: Iterable[str], otherwise: str = "") -> str | None:
    """A sentence about an unknown name: a suggestion, or where such names come from."""
    if name in (known := list(known)):
        return None
    meant = schema.suggest(name, known)
    return f"unknown {kind} '{name}'{meant if 'did you mean' in meant or not otherwise else f': {otherwise}'}"


def _said(check: Callable[[], None]) -> str | None:
    """The message of a check that raises."""
    try:
        check()
    except ValueError as error:
        return str(error)
    return None


def _dataset(plan: "Plan", named: Names) -> str | None:
    return _name("data set", named["dataset"], plan.datasets, f"data sets are rows of {plan.config['datasets']}")


def _packed(plan: "Plan", named: Names) -> str | None:
    """For a data set that is unknown, or has no targets beyond a label."""
    if (text := _dataset(plan, {"dataset": named["packed"]})) or named["packed"] in plan.dense:
        return text
    return f"'{named['packed']}' has only labels, which are in its manifest, {{split}}.parquet"


def _foldered(plan: "Plan", named: Names) -> str | None:
    return _read_by(plan, named["foldered"], "folder", plan.folders)


def _nyu(plan: "Plan", named: Names) -> str | None:
    return _read_by(plan, named["nyu"], "nyu", plan.nyu)


def _read_by(plan: "Plan", dataset: str, reader: str, known: list[str]) -> str | None:
    """For a data set that is unknown, or that another reader reads."""
    if (text := _dataset(plan, {"dataset": dataset})) or dataset in known:
        return text
    return f"'{dataset}' is read by '{plan.datasets[dataset]['reader']}': this is for data sets of reader '{reader}'"


def _split(plan: "Plan", named: Names) -> str | None:
    row = plan.datasets[named.get("dataset") or named["packed"]]
    return _name("split", named["split"], [row[key] for key in ("train", "test") if row[key]])


def _model(plan: "Plan", named: Names) -> str | None:
    return _of_dataset(plan, named["model"], named.get("dataset"))


def _of_dataset(plan: "Plan", model: str, dataset: str | None) -> str | None:
    """For a model that is unknown, or cannot be evaluated on the data set."""
    sheets = plan.config["models"]
    home = sheets if isinstance(sheets, str) else " or ".join(sheets)
    if why := plan.left_out.get(plan.recipes.rows.get(model, {}).get("sweep", "")):
        return why
    if text := _name("model", model, plan.models, f"models are rows of {home}"):
        return text
    if dataset and not plan.fits(model, dataset):
        return f"'{model}' is a model of '{plan.models[model]['dataset']}', not of '{dataset}'"
    return None


def _model_b(plan: "Plan", named: Names) -> str | None:
    return _of_dataset(plan, named["model_b"], named["dataset"])


def _trained(plan: "Plan", named: Names) -> str | None:
    name = named["trained"]
    if name in plan.headed:
        return f"'{name}' is a head of classification, trained by updates: results/train/{name}/heads.parquet"
    if name in plan.published or name in plan.converted_tokens:
        return f"'{name}' is converted, not trained: it has weights only"
    if name in plan.hardened:
        return f"'{name}' has robustness tokens, which are trained by steps: results/train/{name}/steps.parquet"
    return _of_dataset(plan, name, None)


def _hardened(plan: "Plan", named: Names) -> str | None:
    """For a model that is unknown, or has no tokens."""
    name = named["hardened"]
    if (text := _of_dataset(plan, name, None)) or name in plan.hardened:
        return text
    return f"'{name}' has no robustness tokens: its training is in results/train/{name}/epochs.parquet"


def _pictured(plan: "Plan", named: Names) -> str | None:
    """For a model that is unknown, or whose answers are no pictures."""
    name = named["pictured"]
    if (text := _of_dataset(plan, name, named["dataset"])) or name in plan.pictured:
        return text
    return f"'{name}' is a model of {plan.task_of(name)}: pictures are of segmentation and depth"


def _headed(plan: "Plan", named: Names) -> str | None:
    """For a model that is unknown, or no head of classification that is trained here."""
    name = named["headed"]
    if (text := _of_dataset(plan, name, None)) or name in plan.headed:
        return text
    return f"'{name}' is no head of classification that is trained here, so it has no table of heads"


def _registered(plan: "Plan", named: Names) -> str | None:
    """For a model that is unknown, or has no registers to make of tokens."""
    name = named["registered"]
    if (text := _of_dataset(plan, name, None)) or name in plan.with_registers:
        return text
    return f"'{name}' is no row of robustness tokens for DINOv2, the only networks that have this format"


def _submitted(plan: "Plan", named: Names) -> str | None:
    """For a model that is unknown, or no submission can be made of."""
    name = named["submitted"]
    return _of_dataset(plan, name, None) or _said(lambda: plan.submitted_cells({"model": name}))


def _uploaded(plan: "Plan", named: Names) -> str | None:
    """For a model that is unknown, or not a classifier of timm."""
    name = named["uploaded"]
    return _of_dataset(plan, name, None) or _said(lambda: plan.handed_on({"model": name}))


def _kept(plan: "Plan", named: Names) -> str | None:
    name = named["kept"]
    if name in plan.transferred:
        return f"'{name}' is trained for {plan.task_of(name)}, where no weights but the last are kept"
    return _trained(plan, {"trained": name})


def _judged(plan: "Plan", named: Names) -> str | None:
    """For a model whose perturbations have no judges, and as `_model`."""
    cell = {"dataset": named["dataset"], "model": named["judged"]}
    return _model(plan, cell) or _said(lambda: plan.judges(cell))


def _attack(plan: "Plan", named: Names) -> str | None:
    name, entries = named["attack"], plan.config["attack"]["attacks"]
    if name in plan.attacks:
        text = _said(lambda: check_attack(plan, name, named["dataset"], "attack.attacks"))
        return text or _said(lambda: _check_attacked(plan, named))
    if name in entries:
        return f"attack '{name}' has a grid: name one of its cells, {', '.join(plan.attack_grid(name))}"
    if name in schema.load("attacks")["$defs"]:
        return f"'{name}' is a method: add an entry with `method: {name}` to attack.attacks, and name the entry"
    return _name("attack", name, plan.attacks, "attacks are the entries of attack.attacks")


def _drift(plan: "Plan", named: Names) -> str | None:
    return _name("attack", named["drift"], plan.drifts, "attacks on features are the entries of drift.attacks")


def _check_attacked(plan: "Plan", named: Names) -> None:
    """Raise ValueError for a model that cannot be attacked so, or whose attacked images are not for classifiers."""
    model = named.get("model") or named.get("pictured") or named["judged"]
    if "kind" in named or "judged" in named:
        plan.known_classifier(model)
    plan.check_attackable(model, named["attack"])


def _corruptions(plan: "Plan", named: Names) -> str | None:
    name = named["corruptions"]
    if name in plan.corruption_sets and name not in plan.corruptions:
        parts = corrupted.cells(name, plan.corruption_sets[name])
        return f"set '{name}' has a cell for each type: name one of {', '.join(parts)}"
    return _name("set of corruptions", name, plan.corruptions, _SETS)


def _named(plan: "Plan", named: Names) -> str | None:
    return _name("set of corruptions", named["named"], plan.corruption_sets, _SETS)


def _condition(plan: "Plan", named: Names) -> str | None:
    """For a store of images under one corruption."""
    kind, _, severity = named["condition"].rpartition("-")
    return _name("corruption", kind, ALL) or _name("severity", severity, map(str, SEVERITIES))


def _set(plan: "Plan", named: Names) -> str | None:
    text = _name("set", named["set"], plan.sets, "sets are the entries of `sets`, and 'group'")
    return text or _said(lambda: plan.known_set(named["set"], ""))


def _member(plan: "Plan", named: Names) -> str | None:
    """As `_model`, for a model that is also in the set of the path."""
    if (text := _model(plan, named)) or "set" not in named:
        return text
    return _name("model", named["model"], plan.sets[named["set"]].models, f"it is not in set '{named['set']}'")


def _measure(plan: "Plan", named: Names) -> str | None:
    name = named["measure"]
    if name in plan.measures:
        return _said(lambda: check_measure(plan, name, named.get("compared", "natural"), "compare.measures"))
    if name in schema.load("measures")["$defs"]:
        return f"measure '{name}' is not configured: add `{name}: {{}}` to compare.measures"
    return _name("measure", name, plan.measures, "measures are the entries of compare.measures")


def _figure(plan: "Plan", named: Names) -> str | None:
    name, configured = named["figure"], plan.config["figures"]
    if name not in configured and name in FIGURES:
        return f"figure '{name}' is not configured: add it to `figures`"
    return _name("figure", name, configured)


def _drawn(plan: "Plan", named: Names) -> str | None:
    name = named["drawn"]
    if name in FIGURES and not FIGURES[name].draw:
        return f"'{name}' is a table without a drawing: {plan.results}/tables/{name}.html"
    return _figure(plan, {"figure": name})


def _images(plan: "Plan", named: Names) -> str | None:
    source = named["images"].removeprefix("inverted-")
    if source != named["images"]:
        return _of_dataset(plan, source, named["dataset"])
    return _name("image set", source, ["natural", "train", "inverted-{model}"])


def _one_of(kind: str, wildcard: str, *known: str) -> Check:
    return lambda plan, named: _name(kind, named[wildcard], known)


_CHECKS: dict[str, Check] = {
    "dataset": _dataset,
    "packed": _packed,
    "foldered": _foldered,
    "nyu": _nyu,
    "split": _split,
    "model": _member,
    "model_b": _model_b,
    "set": _set,
    "trained": _trained,
    "kept": _kept,
    "hardened": _hardened,
    "headed": _headed,
    "pictured": _pictured,
    "registered": _registered,
    "submitted": _submitted,
    "uploaded": _uploaded,
    "shared": lambda plan, named: _said(lambda: plan.attack_to_share(named)),
    "drift": _drift,
    "judged": _judged,
    "attack": _attack,
    "corruptions": _corruptions,
    "named": _named,
    "condition": _condition,
    "kind": _one_of("kind", "kind", "perturbation", "adversarial"),
    "images": _images,
    "compared": _one_of("image set", "compared", "natural", "inverted"),
    "measure": _measure,
    "groups": _one_of("groups", "groups", "agreement", "correctness", "confidence"),
    "figure": _figure,
    "drawn": _drawn,
}

"""Sheets, recipes and a configuration in a folder, small enough to change one thing and make a plan of it."""

import yaml

from mettle.plan import Plan, check_targets

BASE = {
    "epochs": 1,
    "batch_size": 8,
    "optimizer": {"name": "sgd", "lr": 0.1, "weight_decay": 0},
    "schedule": {"name": "cosine"},
    "input": {"size": 32, "mean": [0.5] * 3, "std": [0.25] * 3},
}
ATTACK = {"method": "pgd", "norm": "linf", "eps": "8/255", "steps": 2}
DATASETS = [("ten", 10), ("two", 2)]
MODELS = [("ten", "resnet8", "plain", 0), ("ten", "vgg5", "plain", 0), ("ten", "vgg5", "plain", 1)]


class Workplace:
    """Two data sets, a recipe `plain` and three models, all of `ten`.

    Models are (data set, architecture, recipe, seed) or a row with threat and eps behind them.
    """

    def __init__(self, folder):
        self.folder = folder
        (folder / "recipes" / "sweeps").mkdir(parents=True)
        self.recipe("plain", BASE)
        self.datasets(DATASETS)
        self.models(MODELS)

    def recipe(self, name, content):
        (self.folder / "recipes" / f"{name}.yaml").write_text(yaml.safe_dump(content))

    def robust(self, name, norm, eps, **attack):
        attack = {"norm": norm, "eps": eps, "steps": 1} | attack
        self.recipe(name, {"extends": "plain", "loss": "adversarial", "attack": attack})

    def datasets(self, rows, *more):
        """Write the sheet; `more` are lines of other data sets, with tabs."""
        lines = [f"{name}\tclassification\t{classes}\t32\tdigits\ttrain\ttest" for name, classes in rows]
        self._write(
            "datasets.tsv", ["dataset\ttask\tclasses\tsize\treader\ttrain\ttest\tdepth_min\tdepth_max", *lines, *more]
        )

    def models(self, rows, **more):
        """Write the sheet; `more` are columns, each a mapping from some of the models to their cells."""
        more = {"source": {}} | more
        lines = ["\t".join(["model\tdataset\tarch\trecipe\tseed\tthreat\teps", *more])]
        for dataset, arch, recipe, seed, *ball in rows:
            row = (name := f"{arch}-{recipe}-s{seed}", dataset, arch, recipe, seed, *(ball or ("none", 0)))
            cells = [of.get(name, "train" if column == "source" else "") for column, of in more.items()]
            lines.append("\t".join(map(str, [*row, *cells])))
        self._write("models.tsv", lines)

    def _write(self, name, lines):
        (self.folder / name).write_text("\n".join(lines) + "\n")

    def plan(self, **blocks):
        """The plan, all its figures checked."""
        places = {"datasets": "datasets.tsv", "models": "models.tsv", "recipes": "recipes"}
        defaults = {
            "attack": {"attacks": {"weak": ATTACK}},
            "compare": {"measures": {"cka": {}, "near": {"method": "jaccard", "k": 3}}},
            "figures": {"accuracy": {"evaluations": [{"datasets": ["ten"], "attacks": ["weak"]}]}},
        }
        found = Plan({key: str(self.folder / value) for key, value in places.items()} | defaults | blocks)
        check_targets(found, [])
        return found

"""Numbers of every rule on a few real images and networks with seeded weights: what tests/golden/rules.csv records.

`python tests/golden_rules.py --write` records them anew, after a change that moves numbers on purpose.
"""

import csv
import itertools
import sys
import tempfile
import types
from pathlib import Path

import numpy as np
import pandas as pd
import torch

sys.path.append(str(Path(__file__).parents[1] / "workflow" / "scripts"))
sys.path.append(str(Path(__file__).parent / "unit" / "stages" / "transfer"))

import dense_trainings

from jobs import training_files
from mettle import data, models, schema, tables
from mettle.data import digits, scenes, streets
from mettle.data.item import decode_array
from mettle.evaluation import Evaluation
from mettle.stages import compare, heads, layers, represent, tabulate, train
from mettle.stages.attack import convergence, effectiveness, evaluate, semantics
from mettle.stages.attack.pictures import pictures
from mettle.stages.cards.ranks import ranks
from mettle.stages.cards.scores import scores_of
from mettle.stages.compare import layers as compared
from mettle.stages.corrupt import evaluate as corrupted
from mettle.stages.corrupt import examples, robustness, stores
from mettle.stages.drift.activations import Measured
from mettle.stages.drift.features import drift
from mettle.stages.invert import images as inversion
from mettle.stages.invert import pair
from mettle.stages.probe import agreement, training
from mettle.stages.tokens.convert import convert as convert_tokens
from mettle.stages.tokens.convert import registers
from mettle.stages.tokens.loop import harden
from mettle.stages.tokens.shared import share
from mettle.stages.transfer.convert import as_published, convert
from mettle.stages.transfer.kinds import KINDS
from mettle.stages.transfer.training import described

TABLE = Path(__file__).parent / "golden" / "rules.csv"
N, BATCH = 48, 16
ABOUT = {"size": 32, "resize": None, "interpolation": "bilinear", "mean": [0.5] * 3, "std": [0.25] * 3}
BALL = {"norm": "l2", "eps": 0.5}
ATTACKS = {
    "pgd": {"steps": 3, "early_stop": False},
    "apgd": {"steps": 5, "early_stop": False},
    "fab": {"steps": 3, "targets": 2},
    "square": {"queries": 20},
    "autoattack": {"steps": 3, "targets": 2, "queries": 20},
}
TOKENS = {"kind": "tokens", "n": 4, "steps": 4, "batch_size": 8, "optimizer": {"lr": 0.05}}
TOKENS["attack"] = {"norm": "linf", "eps": 8 / 255, "steps": 3}
TOKENS = schema.check(TOKENS, "tokens", "here")
HEAD = {"kind": "head", "lr": [0.1, 1], "steps": 8, "batch_size": 8, "holdout": 8}
HEAD = schema.check(HEAD, "head", "here")
RECIPE = {
    "epochs": 1,
    "batch_size": 16,
    "loss": "adversarial",
    "optimizer": {"name": "sgd", "lr": 0.01, "weight_decay": 5e-4},
    "schedule": {"name": "cosine"},
    "attack": {"norm": "l2", "eps": 0.5, "steps": 2},
    "augment": {"crop_padding": 2, "horizontal_flip": True, "mixup": 0.5},
    "input": {key: ABOUT[key] for key in ("size", "mean", "std")},
    "validation": {"every": 1, "steps": 2},
}


class Job:
    """What a running job is to a stage."""

    seed, threads, gpus, tasks, nodes, waited, needs_cuda = 0, 1, 0, 1, 1, False, False
    provenance = types.MappingProxyType({"rule": "golden", "revision": 1})

    def say(self, text):
        """Nothing."""

    def progress(self, items, *rest):
        return items


class Numbers:
    """The numbers, rule by rule, made in a folder."""

    def __init__(self, folder):
        self.folder, self.job = folder, Job()
        self.job.provenance = dict(Job.provenance)
        self.rows = []

    def note(self, rule, quantity, value, tolerance=1e-4):
        """Keep a number with the greatest difference that another processor may make, relative to it."""
        self.rows.append((rule, quantity, float(value), tolerance))

    def path(self, name):
        return self.folder / name

    def all(self):
        self.prep()
        for name, arch in (("a", "resnet8"), ("b", "vgg5")):
            self.convert(name, arch)
        self.attack()
        self.corrupt()
        self.transfer()
        self.tokens()
        self.heads()
        self.studies()
        self.train()
        self.invert()
        self.represent()
        self.compare()
        self.probe()
        self.tabulate()
        self.cards()
        return self.rows

    def prep(self):
        for split in ("train", "test"):
            items = itertools.islice(digits.read(None, split, 10, 0), 200 if split == "train" else N)
            data.write(self.path(f"{split}.lmdb"), self.path(f"{split}.parquet"), items)
        self.store = data.Store(self.path("test.lmdb"))
        self.note("prep", "digits", self.store.arrays().mean())
        made = self.path("scenes.lmdb")
        data.write(made, made.with_suffix(".parquet"), (scenes.scene(0, "test", index) for index in range(8)))
        self.note("prep", "scenes", data.Store(made).arrays().mean(), 1e-3)
        for index in range(4):
            street = streets.street(0, "test", index)
            self.note("prep_dense", f"streets {index} pixels", decode_array(street.data).mean(), 1e-3)
            for name in ("label_map", "depth"):
                self.note("prep_dense", f"streets {index} {name}", getattr(street.targets, name).mean(), 1e-3)

    def convert(self, name, arch):
        source = self.path(f"{name}.pt")
        torch.save(self.network(arch).state_dict(), source)
        row = {"model": f"{arch}-shown-s0", "dataset": "digits", "arch": arch, "recipe": "shown", "classes": 10}
        row |= {"threat": "none", "eps": 0.0, "seed": 0, "source": str(source), "format": "timm"}
        target = self.path(name) / "weights.safetensors"
        train.convert(row, {"input": ABOUT}, target, self.job)
        state = models.load(target)[0].state_dict()
        self.note("convert", arch, sum(value.double().abs().sum() for value in state.values()))

    def network(self, arch):
        """Random layers with a head that is fitted to the training images, so that most answers are right."""
        model = models.create(arch, 10, 32, ABOUT["mean"], ABOUT["std"], 1).eval()
        store = data.Store(self.path("train.lmdb"))
        images = torch.from_numpy(store.arrays()).permute(0, 3, 1, 2).float() / 255
        with torch.no_grad():
            features = model.both(images)[1].double()
            wanted = 5 * torch.nn.functional.one_hot(torch.from_numpy(store.labels), 10).double()
            square = features.T @ features
            ridge = 1e-3 * square.trace() / len(square) * torch.eye(len(square), dtype=torch.float64)
            model.last.weight.copy_(torch.linalg.solve(square + ridge, features.T @ wanted).T)
            model.last.bias.zero_()
        return model.network

    def evaluation(self, model, store="test", batch=BATCH):
        given = self.path(f"{model}/weights.safetensors"), self.path(f"{store}.lmdb")
        return Evaluation(*given, "digits", "fp32", batch, self.job)

    def attack(self):
        for method, own in ATTACKS.items():
            options = schema.check({"method": method} | BALL | own, f"attacks/{method}", "here")
            keys = {"dataset": "digits", "split": "test", "model": "a", "attack": method}
            found = evaluate.evaluate(self.evaluation("a"), keys, options, self.path("resume"))
            self.note("attack", f"{method}, loss", found["loss"].mean())
            self.note("attack", f"{method}, distance", found["distance"].mean())

    def corrupt(self):
        keys = {"dataset": "digits", "split": "test", "model": "a"}
        chosen = schema.check({"types": ["benchmark"], "severities": [3], "images": 12}, "corruptions", "here")
        chosen |= {"types": ["gaussian_noise", "glass_blur", "fog", "elastic_transform"]}
        table, found = corrupted.evaluate(self.evaluation("a"), keys, chosen, self.path("resume"))
        clean = schema.check({"images": 12}, "corruptions", "here") | {"types": ["clean"], "severities": [0]}
        _, before = corrupted.evaluate(self.evaluation("a"), keys, clean, self.path("resume"))
        for name, columns in (("corrupt", found), ("clean", before)):
            tables.write(self.path(f"{name}.parquet"), table, columns)
        cells = [self.path("corrupt.parquet"), self.path("clean.parquet")]
        given = "classification", chosen["types"], chosen["severities"]
        for row in robustness.summarise(cells, *given, draws=200, seed=0):
            if (row["corruption"], row["measure"]) == ("mean", "accuracy") and row["severity"] is None:
                for key in ("value", "lo", "hi"):
                    self.note("robustness", f"{row['statistic']}, {key}", row[key], 5e-2)
        for kind, rows in pd.DataFrame(found).groupby("corruption", sort=False):
            self.note("corrupt", f"{kind}, loss", rows["loss"].mean(), 1e-2)
        made = self.path("corrupted.lmdb")
        stores.write(self.store.path, made, made.with_suffix(".parquet"), chosen | {"types": ["frost"]}, "digits", 0)
        self.note("corrupted", "frost", data.Store(made).arrays().mean(), 1e-3)
        shown = examples.shown(self.store.path, "digits", chosen, 0)
        self.note("examples", "psnr", np.mean([row["value"] for row in shown if row["value"]]), 1e-3)

    def transfer(self):
        folder = self.path("transfer")
        stores = [dense_trainings.store(folder, split, n) for split, n in (("train", 8), ("test", 4))]
        (_, epochs), _ = dense_trainings.run(folder, stores, dense_trainings.recipe(epochs=1, validation={"every": 1}))
        self.note("transfer", "loss", epochs["train_loss"].iloc[-1], 1e-2)
        evaluation = Evaluation(folder / "weights.safetensors", stores[1], "streets", "fp32", BATCH, self.job)
        keys = {"dataset": "streets", "split": "test", "model": "upernet", "attack": "pgd"}
        options = schema.check({"method": "pgd"} | BALL | {"steps": 2}, "attacks/pgd", "here")
        shown = pd.DataFrame(pictures(evaluation, keys, options, 4))
        for part, tolerance in (("target", 1e-3), ("attacked", 1e-3), ("attacked_answer", 5e-2)):
            found = (decode_array(image).mean() for image in shown.loc[shown["shows"] == part, "image"])
            self.note("pictures", part, np.mean(list(found)), tolerance)
        self.convert_dense(folder)

    def convert_dense(self, folder):
        source, target, recipe = folder / "released.pt", folder / "released.safetensors", dense_trainings.recipe()
        row = dense_trainings.row(source=str(source), format="")
        made = KINDS["segmentation"].create(described(row, recipe, self.job), 1, 0.0)
        torch.save({"state_dict": as_published(made).state_dict()}, source)
        convert(row, recipe, target, self.job)
        state = models.load(target)[0].state_dict()
        self.note("convert_dense", "upernet", sum(value.double().abs().sum() for value in state.values()))

    def tokens(self):
        """Tokens of a network of random weights, trained, converted, and under attack; and as registers of DINOv2."""
        base = self.base_of_tokens("vit", "vit_mini", 10, 32)
        told = {"model": "hard", "base": "vit", "recipe": "few", "threat": "linf", "eps": 8 / 255, "seed": 0}
        files = training_files(self.path("hard"), self.path("train.lmdb"), table="steps", base=base)
        harden(told, TOKENS, files, self.job)
        hard, found = files.weights, tables.read(files.table, tables.TOKENS_STEPS)
        for quantity in ("invariance", "adversarial", "plain"):
            self.note("tokens", quantity, found[quantity].mean(), 1e-3)
        self.share_attack(base)
        evaluation = Evaluation(hard, self.store.path, "digits", "fp32", BATCH, self.job)
        keys = {"dataset": "digits", "split": "test", "model": "hard", "attack": "felt", "through": "vit"}
        weights = {"through": base, "base": base}
        columns = drift(evaluation, weights, keys, TOKENS["attack"], None, self.path("resume_drift"))
        for quantity in ("channels", "base_tokens", "clean_mse"):
            self.note("drift", quantity, np.mean(columns[quantity]), 1e-3)
        measured = Measured(evaluation, base, keys, TOKENS["attack"], None)
        parts = list(measured.largest(self.path("resume_activations")))
        for part in (parts[1], parts[-1]):
            what = f"{part['attack'][0]}, {part['layer'][0]}"
            self.note("activations", f"largest, {what}", np.mean(part["largest"]), 1e-3)
        self.note("activations", "surface", list(measured.surface())[-1]["activations"].mean(), 1e-3)
        dino = self.base_of_tokens("dino", "dinov2_vits14", 0, 28)
        values = torch.arange(4 * 384, dtype=torch.float32).view(1, 4, 384) / 1000
        torch.save({"rtokens": values}, self.path("tokens.pt"))
        given = told | {"model": "given", "base": "dino", "source": str(self.path("tokens.pt"))}
        target = self.path("given") / "weights.safetensors"
        convert_tokens(given, TOKENS, dino, target, self.job)
        self.note("convert_tokens", "tokens", models.weights.read(target)[0]["tokens"].double().sum())
        registers(target, self.path("dinov2.pth"), self.path("dinov2.yaml"))
        state = torch.load(self.path("dinov2.pth"), weights_only=True)
        self.note("registers", "registers", state["register_tokens"].double().sum())
        self.note("registers", "all", sum(value.double().abs().sum() for value in state.values()), 1e-4)

    def share_attack(self, base):
        """The attacked images of the same training."""
        told = {"seed": 0} | {key: TOKENS[key] for key in ("steps", "batch_size", "precision", "attack")}
        table = self.path("attacked.parquet")
        images, resume = table.with_suffix(".npy"), self.path("resume_shared")
        share(told, self.path("train.lmdb"), base, images, table, resume, self.job)
        self.note("share_attack", "plain", tables.read(table, tables.SHARED_ATTACK)["plain"].mean(), 1e-3)
        self.note("share_attack", "images", np.load(images).mean(), 1e-5)

    def heads(self):
        """Heads of every task on the network that tokens are for, after `tokens`."""
        base, store = self.path("vit") / "weights.safetensors", self.path("train.lmdb")
        told = {"model": "head", "dataset": "digits", "classes": 10, "base": "vit", "recipe": "few"}
        told |= {"threat": "none", "eps": 0.0, "seed": 0}
        files = training_files(self.path("head"), store, table="heads", base=base)
        heads.fit(told, HEAD, files, self.job)
        self.note("head", "loss", tables.read(files.table, tables.HEADS)["train_loss"].mean(), 1e-2)
        self.note("head", "weights", models.weights.read(files.weights)[0]["head.weight"].double().abs().sum(), 1e-2)
        torch.save({"weight": torch.arange(2560.0).view(10, 256), "bias": torch.ones(10)}, self.path("head.pt"))
        given = told | {"model": "given-head", "source": str(self.path("head.pt"))}
        target = self.path("given-head") / "weights.safetensors"
        heads.convert(given, HEAD | {"lr": [0.1]}, base, target, self.job)
        self.note("convert_head", "sum", models.weights.read(target)[0]["head.weight"].double().sum())

    def base_of_tokens(self, name, arch, classes, size):
        about = ABOUT | {"arch": arch, "classes": classes, "size": size, "resize": None, "dataset": "digits"}
        about |= {"task": "classification" if classes else "features", "threat": "none", "eps": 0.0}
        path = self.path(name) / "weights.safetensors"
        models.save(path, models.create(arch, classes, size, ABOUT["mean"], ABOUT["std"], 1), about)
        return path

    def studies(self):
        blocks = schema.check({"figures": {}}, "config", "here")["attack"]
        weights, keys = self.path("a/weights.safetensors"), {"dataset": "digits", "split": "test", "model": "a"}
        models.save(self.path("kept/epoch-000.safetensors"), *models.load(weights))
        options = blocks["effectiveness"] | BALL | {"steps": [1, 3], "seeds": 2, "images": N}
        kept = self.evaluation("a").on(self.path("kept"), self.path("test.lmdb"))
        rows = effectiveness.effectiveness(kept, keys, options, self.path("resume"))
        self.note("effectiveness", "loss", np.mean([row["value"] for row in rows if row["measure"] == "loss"]))
        options = blocks["convergence"] | BALL | {"steps": [0, 1, 3], "seeds": 2, "images": 2}
        rows = convergence.convergence(self.evaluation("a"), keys, options)
        self.note("convergence", "loss", np.mean([row["value"] for row in rows]))
        attack = schema.check({"method": "pgd", "steps": 3} | BALL, "attacks/pgd", "here")
        batches = semantics.perturbations(self.evaluation("a"), attack, N)
        made = self.path("perturbed.lmdb")
        data.write_perturbed(made, made.with_suffix(".parquet"), self.store, batches, "perturbation", 0.5, "l2")
        self.note("perturb", "picture", data.Store(made).arrays().std())
        keys = {"dataset": "digits", "model": "a", "attack": "pgd"} | BALL
        weights = self.path("b/weights.safetensors")
        found = semantics.classify({"b": weights}, self.evaluation("a").on(weights, made), keys)
        self.note("semantics", "sum of classes", sum(found["prediction"]), 5)

    def train(self):
        recipe = schema.check(RECIPE, "recipe", "here")
        row = {"model": "resnet8-tiny-s0", "dataset": "digits", "arch": "resnet8", "recipe": "tiny", "seed": 0}
        row |= {"threat": "l2", "eps": 0.5, "classes": 10, "source": "train"}
        stores = [self.path(f"{split}.lmdb") for split in ("train", "test")]
        files = training_files(self.path("trained"), *stores)
        train.train(row, recipe, files, self.job)
        epochs = tables.read(files.table, tables.EPOCHS)
        for column in ("train_loss", "test_loss"):
            self.note("train", column, epochs[column].iloc[0], 2e-3)

    def invert(self):
        drawn = pair.pairs(self.store, 8, 0, {"dataset": "digits", "split": "test"})
        self.note("pair", "products of ids", (np.asarray(drawn["id"]) * np.asarray(drawn["seed_id"])).sum(), 0)
        tables.write(self.path("pairs.parquet"), tables.PAIRS, drawn)
        options = {"steps": 5, "step_size": 0.125, "momentum": 0.9, "checkpoint_seconds": 300}
        for name in ("a", "b"):
            written = self.path(f"invert/{name}.lmdb"), self.path(f"invert/{name}.parquet")
            given = (self.evaluation(name, batch=8), self.path("pairs.parquet"), options)
            inversion.write_inverted(*written, *given, self.path("resume"))
            losses = tables.read(written[1], tables.INVERTED)["loss"]
            self.note("invert", f"loss, {name}", losses.mean())

    def represent(self):
        for images, store in (("natural", "test"), ("train", "train"), ("inverted-a", "invert/a")):
            for name in ("a", "b"):
                keys = {"dataset": "digits", "images": images, "model": name}
                path = self.path(f"{images}/{name}.parquet")
                tables.stream(path, tables.REPRESENT, represent.extract(self.evaluation(name, store), keys))
                features = tables.vectors(path, tables.REPRESENT, "features")
                rule = "represent" if not images.startswith("inverted") else "cross"
                self.note(rule, f"{images}, {name}", np.square(features.astype(float)).mean() ** 0.5)

        for name in ("a", "b"):
            keys = {"dataset": "digits", "images": "natural", "model": name}
            parts = layers.extract(self.evaluation(name), keys, None, None, "mean")
            tables.stream(self.path(f"layers/{name}.parquet"), tables.LAYER_FEATURES, parts, group=1)
            for group in tables.read_groups(
                self.path(f"layers/{name}.parquet"), tables.LAYER_FEATURES, ["layer", "features"], (0, 3)
            ):
                size = np.square(np.stack(group["features"]).astype(float)).mean() ** 0.5
                self.note("layers", f"{name}, {group['layer'][0]}", size)

    def compare(self):
        first, second = compare.paired(
            [self.path("natural/b.parquet"), self.path("natural/a.parquet")], "natural", "b", ["a"]
        )
        keys = {"dataset": "digits", "norm": None, "eps": 0.0}
        for method in ("cka", "procrustes"):
            given = (first, second, keys | {"measure": method}, {"method": method})
            row = compare.similarities(*given, 2, True, 0, iter)[0]
            for column in ("value", "baseline", "floor"):
                self.note("compare", f"{method}, {column}", row[column])
        both = [self.path(f"layers/{name}.parquet") for name in ("b", "a")]
        rows = compared.similarities(*both, {}, {"method": "cka"})
        self.note("compare_layers", "first", rows[0]["value"])
        self.note("compare_layers", "mean", np.mean([row["value"] for row in rows]))
        for row in compare.subgroups(
            first, second, keys | {"measure": "procrustes"}, {"method": "procrustes"}, "confidence", 3, 0, 0, iter
        ):
            self.note("subgroups", row["subgroup"], row["value"])
        for row in compare.agreements(first, second, keys, iter):
            if row["measure"] in ("jsd", "disagreement"):
                self.note("agree", row["measure"], row["value"])

    def probe(self):
        options = schema.check({"figures": {}}, "config", "here")["probe"] | {"probes": 2, "epochs": 2}
        for name in ("a", "b"):
            keys = {"dataset": "digits", "model": name}
            files = {images: self.path(f"{images}/{name}.parquet") for images in ("train", "natural")}
            probes, epochs = training.train(files, keys, options, 10, self.job)
            self.note("probe", f"loss, {name}", epochs[-1]["loss"])
            answers = training.answers(probes, files, keys, 64)
            tables.stream(self.path(f"probe/{name}.parquet"), tables.PROBE, answers)
        own, others = self.path("probe/b.parquet"), [self.path("probe/a.parquet")]
        rows = agreement.agreements(own, others, {"dataset": "digits", "norm": None, "eps": 0.0})
        self.note("probe_agree", "mean", np.mean([row["value"] for row in rows]), 0.05)

    def tabulate(self):
        rng = np.random.default_rng(0)
        pairs = list(itertools.combinations("abcde", 2))
        keys = {"dataset": "d", "images": "natural", "norm": None, "eps": 0.0, "measure": "cka", "n": 9, "lo": None}
        keys |= {"hi": None, "note": None, "method": "cka"}
        groups = ("agree", "disagree", "agree_matched", "disagree_matched")
        rows = [
            keys | {"model": a, "model_b": b, "subgroup": group, "value": rng.random()}
            for a, b in pairs
            for group in groups
        ]
        options = {"models": list("abcde"), "resamples": 99, "seed": 0}
        made = tabulate.rows_of("fig5")(pd.DataFrame(rows), options, [])
        for row in made[-2:]:
            for column in ("value", "lo", "hi", "p"):
                self.note("tabulate_figure", f"{row['subgroup']}, {column}", row[column], 1e-9)

    def cards(self):
        rng, right = np.random.default_rng(0), []
        for model in range(4):
            paths, clean = [], rng.random(200) < 0.9
            for attack, robust in (("one", 0.8), ("two", 0.5 + model / 10)):
                rows = {
                    "id": np.arange(200),
                    "label": 0,
                    "clean_prediction": ~clean,
                    "prediction": rng.random(200) > robust,
                }
                keys = {"dataset": "made", "split": "test", "model": f"m{model}", "attack": attack} | BALL
                rest = dict.fromkeys(("clean_loss", "loss", "margin"), 0.0) | {"queries": 1, "note": None}
                rest["distance"] = BALL["eps"]
                frame = pd.DataFrame(rows).astype(int).assign(**keys, **rest, **dict.fromkeys(tables.FLAGS, False))
                paths.append(self.path(f"{model}_{attack}.parquet"))
                tables.write(paths[-1], tables.ATTACK, frame[list(tables.ATTACK.columns)])
            told = {"model": f"m{model}", "task": "classification", "published": [], "autoattack": [], "seed": 0}
            made = scores_of({"attack": list(map(str, paths))}, told | {"results": str(self.folder)})
            worst = next(row for row in made if row["about"] == "worst_case")
            right.append(np.unpackbits(np.frombuffer(worst["right"], np.uint8), count=200).astype(bool))
            for key in ("value", "lo", "hi"):
                self.note("model_card", f"m{model}, worst case, {key}", worst[key], 1e-9)
        for model, ends in enumerate(ranks(np.stack(right), 0)):
            for key, end in zip(("rank", "first", "last"), ends, strict=True):
                self.note("leaderboard", f"m{model}, {key}", end, 1e-9)


def computed():
    """Rule, quantity, value, tolerance."""
    with tempfile.TemporaryDirectory() as folder:
        return Numbers(Path(folder)).all()


def recorded():
    """The same, as they are recorded."""
    with TABLE.open(newline="") as file:
        return [
            (row["rule"], row["quantity"], float(row["value"]), float(row["tolerance"])) for row in csv.DictReader(file)
        ]


if __name__ == "__main__":
    if "--write" in sys.argv:
        with TABLE.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["rule", "quantity", "value", "tolerance"])
            writer.writerows((rule, what, f"{value:.12g}", f"{most:g}") for rule, what, value, most in computed())

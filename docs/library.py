# %% [markdown]
# # The library without Snakemake
#
# Every rule of the workflow is a short script around a function of the library, `mettle`. This page calls those
# functions by hand: it packs a small data set, loads two networks, attacks them, looks at what the attack did, compares
# their representations, and reads a table. It is made from `docs/library.py`, whose cells (`# %%`) editors run one by
# one; as a whole it takes some seconds on a CPU:
#
# ```
# make env
# .venv/bin/python docs/library.py
# ```

# %%
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from mettle import data, measures, models, tables
from mettle.perturb import Draws, norm, pgd, untargeted
from mettle.stages.prep import prepare

folder = Path("results/library")
folder.mkdir(parents=True, exist_ok=True)

# %% [markdown]
# ## Read a store
#
# The workflow packs each split of a data set as a store, here `results/prep/digits/train.lmdb` and `test.lmdb`.
# `prepare` is the function behind it; the digits come with scikit-learn.
# %%
digits = {"dataset": "digits", "task": ["classification"], "classes": 10, "size": 32, "reader": "digits", "source": ""}
for split in ("train", "test"):
    prepare(digits, split, folder / f"{split}.lmdb", folder / f"{split}.parquet")

store = data.Store(folder / "test.lmdb")
print(len(store), "images;", store.manifest().head(3), sep="\n")


# %% [markdown]
# `arrays` gives pixels as uint8 (n, h, w, 3), `image` a Pillow image, and `labels` and `ids` one number per image.
# Models take float images (n, 3, h, w) in [0, 1].
#
#
# %%
def images_of(store: data.Store, positions: range) -> torch.Tensor:
    """Images at these positions, as models take them."""
    return torch.from_numpy(store.arrays(positions)).permute(0, 3, 1, 2).float() / 255


images, labels = images_of(store, range(100)), torch.from_numpy(store.labels[:100])

# %% [markdown]
# ## Load a network
#
# `models.create` makes a network of timm, of torchvision or of mettle by its name, with the normalisation inside: it
# takes images in [0, 1]. A short loop of plain PyTorch trains it. (`mettle.stages.train` is the trainer of the
# workflow, with its recipes.)
# %%
policy = models.policy(threads=torch.get_num_threads())


def trained(arch: str, seed: int) -> models.Classifier:
    """A network that has seen every training digit once."""
    model = models.create(arch, classes=10, size=32, mean=[0.5] * 3, std=[0.5] * 3, seed=seed)
    train = data.Store(folder / "train.lmdb")
    x, y = images_of(train, range(len(train))), torch.from_numpy(train.labels)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for batch in torch.randperm(len(x), generator=torch.Generator().manual_seed(seed)).split(32):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
        optimizer.step()
    return model.eval()


first = trained("resnet8", seed=0)
second = trained("test_resnet.r160_in1k", seed=1)  # one of timm's

# %% [markdown]
# Weights are stored as safetensors, with all that is needed to use them. `models.load` reads those of the workflow,
# `results/train/{model}/weights.safetensors`, in the same way; what it is told to expect is checked.
# %%
about = {"arch": "resnet8", "classes": 10, "size": 32, "mean": [0.5] * 3, "std": [0.5] * 3}
about |= {"resize": 32, "interpolation": "bicubic", "threat": "none", "eps": 0}
models.save(folder / "weights.safetensors", first, about)
first, about = models.load(folder / "weights.safetensors", arch="resnet8", classes=10)

# %% [markdown]
# ## Attack it
#
# An attack takes a model, images and a goal: `untargeted` raises the loss of the true class. Its random numbers are
# drawn for each image by the image's id, so they are the same for any batch size.
# %%
ball = {"norm": "l2", "eps": 2.0}
draws = Draws(seed=0, ids=store.ids[:100])
attacked, queries = pgd(first, images, untargeted(labels), draws=draws, policy=policy, steps=20, step_size=0.25, **ball)


# %%
def accuracy(model: models.Classifier, images: torch.Tensor) -> float:
    """Fraction of the images that a model classifies correctly."""
    with torch.inference_mode():
        return (model(images).argmax(1) == labels).float().mean().item()


clean, robust = accuracy(first, images), accuracy(first, attacked)
print(f"resnet8: accuracy {clean:.2f} clean, {robust:.2f} under PGD; {queries.float().mean():.0f} passes per image")
print(f"timm's network on the same images: {accuracy(second, images):.2f} and {accuracy(second, attacked):.2f}")

# %% [markdown]
# ## Look at the result
#
# A row each: clean images, attacked images, and what was added, scaled around grey.
# %%
shown = range(8)
added = attacked - images
distance = norm("l2").distance(added)
print(f"L2 distance: {distance.max():.2f} at most")
rows = [images[shown], attacked[shown], 0.5 + 0.5 * added[shown] / added[shown].abs().max()]
strip = torch.cat([torch.cat(list(row), dim=2) for row in rows], dim=1)
Image.fromarray((255 * strip.permute(1, 2, 0).numpy()).round().astype(np.uint8)).save(folder / "attacked.png")

# %% [markdown]
# ## Compare two networks
#
# `both` gives logits and penultimate features, what enters the last layer. Any of the [measures](measures.md) compares
# the features of two networks on the same images; `baseline` is what the score is when the images of one network are
# permuted.
# %%
with torch.inference_mode():
    features = [model.both(images)[1].numpy() for model in (first, second)]
for measure in ("cka", "procrustes", "jaccard"):
    value, permuted = measures.compare(measure, *features), measures.baseline(measure, *features, 0)
    print(f"{measure}: {value:.3f}, permuted {permuted:.3f}")

# %% [markdown]
# ## Read a results table
#
# Tables are parquet files with declared columns, which [tables.md](tables.md) describes. Any reader opens them;
# `tables.read` also checks that the file is a table of its kind, and keeps what made it.
# %%
row = {"dataset": "digits", "images": "natural", "model": "timm", "model_b": "resnet8", "norm": None, "eps": 0.0}
row |= {"measure": "cka", "method": "cka", "n": len(images), "value": measures.compare("cka", *features)}
row |= dict.fromkeys(("lo", "hi", "note", "baseline", "floor", "p", "calibrated"))
tables.write(folder / "cka.parquet", tables.COMPARE, [row], {"rule": "by hand", "versions": {}})

table = tables.read(folder / "cka.parquet", tables.COMPARE)
print(table[["model", "model_b", "measure", "n", "value"]])
print(table.attrs["provenance"])

"""Writes docs/reruns.md: what rules are told before and after changes; with --check, says whether it is up to date.

Every key of the configuration and of recipes and every column of the sheets is changed once on a small tree
(tests/changes.py), and the parameters and inputs of all jobs are compared (tests/told.py). Nothing is run.
"""

import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "workflow" / "scripts"), str(ROOT / "tests")]

import changes  # noqa: E402 (the path comes first)
import told  # noqa: E402

HEAD = """# What a change makes again

Before each run Snakemake compares every file with what it was made from, and makes again what has changed, and what
follows from it. `profiles/default`, which Snakemake takes up by itself, leaves three reasons:

- the **parameters** of a rule: what its numbers depend on, and nothing else. No batch size, no device, no text for people
  is among them, and a seed only where something is drawn;
- its **input files**, the local files and class folders that the sheets name included. One with a new time and the content
  that it had is no reason (files of up to 1 GB; larger ones go by their time);
- its **revision**, a number in the rule that is raised when its code computes something else.

`snakemake -n TARGET` says what would run, and why, before anything does. This page is made by `make docs`, by changing each
key once on a small tree and comparing what the jobs are told; a test does the same.

## Configuration

| key | what a change makes again |
|---|---|
"""

SHEETS = """
`NAME` stands for an entry of yours; a change of one entry concerns its own cells only, and a new entry makes new cells only.
Likewise `figures.FIGURE.*` concerns the table of that figure. What it shows in addition and what is not there yet is made.

## datasets.tsv

| column | what a change makes again |
|---|---|
"""

MODELS = """
A new name in `dataset` is a new data set. A `sha256` that is filled in or corrected is compared when the file is read next;
`--forcerun prep` (or `convert`, for models) compares now. `home` stands in the description of the data sets that are handed on
(`results/tfds`), and nowhere else.

## Sheets of models

| column | what a change makes again |
|---|---|
"""

RECIPES = """
The name of a model is free, and what is made of a model is found by it: rename a row, and its results are made under the new
name. A row that gets another `dataset`, `arch`, `recipe` or `seed` under its name is trained or converted again, and all that
follows from it is made again; with a new name beside it, what was made of the first stays. `threat` and `eps` follow from the
recipe, and what is compared with what from these. `mirror`, `licence` and `reference` are said on a model's card; weights that are
there keep what they said when they were made. A row added at the end of the sheet makes its own cells; one added, moved or
removed further up also changes which models those below it are compared with: `compare`, `subgroups`, `agree`, `cross` and
`probe_agree` of these.

The file of an architecture such as `net.py:MyNet` is an input of `train` and `convert` of its models, and so is a file of
`plugins` where a model's architecture or loss is written in it and nowhere in mettle: a change in such a file makes these weights
again and what follows from them, and nothing else.

## Recipes

| key | what a change makes again |
|---|---|
"""

TOKENS = """
Of a recipe of kind tokens:

| key | what a change makes again |
|---|---|
"""

HEAD_RECIPES = """
Of a recipe of kind head for classification:

| key | what a change makes again |
|---|---|
"""

FOLLOWS = """
`convert` is for the models whose checkpoints come from elsewhere: of their recipe only `input` counts, and norm and eps of
the attack, which are in their metadata; a row without recipe states these itself.

## What follows

A rule of the tables above runs again for the cells that the change concerns. What takes their files runs again if these
have other content than before.

| rule | what takes what it makes, directly or not |
|---|---|
"""

FOOT = """
## What is not noticed

| change | what to do |
|---|---|
| an image is overwritten in its class folder, under the name that it had | `snakemake --forcerun prep -- TARGET` |
| a file is replaced by one with an older time than what was made from it (`cp -p`, `rsync -t`) | `touch` it |
| a folder of torchvision or TFDS changes further down | `touch` the folder that `source` names |
| the file behind an address changes | delete it in `resources/downloads`, or write another `version` into the row |
| a file of more than 1 GB gets a new time and is the same | `snakemake --cores 1 --touch -- TARGET`: takes what is there as up to date |
| code of a network, loss, measure or attack that you wrote into mettle's own folders | `--forcerun` with the first rule that runs it: `train convert` for a network, `train` for a loss, `compare subgroups` for a measure, `attack` for an attack |
| the library itself, by `git pull` | nothing: where numbers change, the rule's revision is raised with the code (`workflow/revisions.lock`) |

What is made again and comes out as it was keeps its bytes (stores of images, converted weights), and nothing follows from
it, in the next run: within one run Snakemake makes all that follows, since it decides before it starts. After a mere copy or
`touch` of a large folder, make its store first and by itself: `snakemake --cores 2 results/prep/NAME/train.lmdb`.

A source that was deleted after it was packed or converted is not missed until it is needed again. Then the rule `given` fails
before anything else starts, with the path and how to get the data.

## What was deleted

Snakemake makes a file that is missing when somebody needs it, and nobody does while all that follows from it is there and
up to date. So after `rm -r results/attack` the target `all`, and a report, still find the tables and have nothing to do: the
cells are made again when a table is. To have them back, name them, or force their rule:
`snakemake --cores 2 --forcerun attack -- results/tables/accuracy.parquet`.

## After an update of mettle

An update can change what counts as a parameter of a rule without changing its numbers. The changelog says so. Then
`snakemake --touch --cores 1 -- TARGET` takes what is there as made by the new version: it gives files new times and runs
nothing. Look at `snakemake -n TARGET` before and after.
"""


def text(tree: changes.Tree) -> str:
    """The whole page, by the changes of a tree."""
    config = list(changes.of_config(tree))
    parts = [HEAD, _rows(_grouped(config)), SHEETS, _rows(changes.of_datasets(tree)), MODELS]
    parts += [_rows(changes.of_models(tree)), RECIPES, _rows(changes.of_recipe(tree))]
    parts += [TOKENS, _rows(changes.of_tokens(tree)), HEAD_RECIPES, _rows(changes.of_head(tree)), FOLLOWS]
    following = told.followers(tree.told())
    parts += [f"| `{rule}` | {_names(following[rule])} |\n" for rule in told.RULES if rule not in ("given", "download")]
    return "".join([*parts, FOOT])


def _grouped(rows: Iterable[changes.Change]) -> Iterable[changes.Change]:
    """The rows with all options of figures as one, which they have to be."""
    first = None
    for key, before, after in rows:
        if not key.startswith("figures."):
            yield key, before, after
        elif told.again(before, after)[0] != {"tabulate_figure"}:
            raise ValueError(f"{key} makes more again than a table: {told.again(before, after)[0]}")
        else:
            first = first or ("figures.FIGURE.*", before, after)
    if first:
        yield first


def _rows(rows: Iterable[changes.Change]) -> str:
    return "".join(f"| `{key}` | {_names(told.again(before, after)[0])} |\n" for key, before, after in rows)


def _names(rules: set[str]) -> str:
    return ", ".join(f"`{rule}`" for rule in told.RULES if rule in rules) or "nothing"


def main() -> None:
    """Write the page, or compare it."""
    page, here = ROOT / "docs" / "reruns.md", Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        made = text(changes.Tree(Path(folder)))
        os.chdir(here)
    if "--check" in sys.argv:
        sys.exit(0 if page.read_text() == made else "docs/reruns.md is out of date: run `make docs`")
    page.write_text(made)


if __name__ == "__main__":
    main()

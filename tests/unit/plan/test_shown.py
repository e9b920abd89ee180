"""`show`: the figures that count, where a configuration is laid over another one; and sources in packages."""

import pytest

from workplace import ATTACK, Workplace

FIGURES = {
    "accuracy": {"evaluations": [{"datasets": ["ten"], "attacks": ["weak"]}]},
    "fig2": {"datasets": ["elsewhere"], "eps": [0], "measures": ["cka"]},
}


@pytest.fixture
def place(tmp_path):
    found = Workplace(tmp_path)
    found.models([("ten", "resnet8", "plain", 0), ("ten", "vgg5", "plain", 0)])
    return found


def plan(place, **own):
    return place.plan(attack={"attacks": {"weak": ATTACK}}, figures=FIGURES, **own)


def test_figures_that_do_not_count_are_neither_made_nor_checked(place):
    shown = plan(place, show=["accuracy"])
    assert shown.tabulated == ["accuracy"] and shown.targets() == ["results/tables/accuracy.parquet"]
    with pytest.raises(ValueError, match=r"figures\.fig2\.datasets: unknown data set 'elsewhere'"):
        plan(place).targets()


@pytest.mark.parametrize("title", ["", "two\nlines"])
def test_a_title_is_one_line(place, title):
    with pytest.raises(ValueError, match=r"^configuration: 'title' must be one line of text, got "):
        plan(place, title=title)
    assert place.plan(figures={}).config["title"] == "Robustness of vision models"


def test_an_unknown_figure_is_refused(place):
    with pytest.raises(ValueError, match=r"^configuration: show: unknown figure 'fig3': did you mean 'fig2'\?$"):
        plan(place, show=["fig3"])


def test_a_package_that_is_not_installed_is_named_with_the_remedy(place):
    head = "model\tdataset\tarch\tsource\tsize\tmean\tstd"
    row = "one\tten\tresnet8\tpackage:no_such_package/a/b.pth\t32\t0.5,0.5,0.5\t0.2,0.2,0.2"
    (place.folder / "models.tsv").write_text(f"{head}\n{row}\n")
    found = place.plan(figures={})
    (path,) = found.model_source({"model": "one"})
    assert path == "site-packages/no_such_package/a/b.pth"
    told = found.missing({"path": path})
    assert told.startswith(
        "package:no_such_package/a/b.pth: install the package no_such_package (docs/reference.md), or "
    )

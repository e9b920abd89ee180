"""Training of robustness tokens: what it raises, what it leaves alone, and that it resumes to the same tokens."""

from pathlib import Path

import pytest
import torch
from token_trainings import STRONG, Job, recipe, result, row, train

from mettle import models
from mettle.models.features import Features
from mettle.perturb.features import LIKENESS
from mettle.stages.tokens.training import rate_at
from processes import finished, started


def test_similarity_under_attack_rises_while_that_on_clean_images_stays_high(some_digits, trained):
    attack = {"norm": "linf", "eps": STRONG, "steps": 5}
    optimizer = {"lr": 0.05, "decay": "cosine"}
    _, found = train(some_digits, trained, "learned", steps=40, optimizer=optimizer, attack=attack)
    assert list(found["step"]) == list(range(40)) and (found["n"] == 8).all()
    late = found[found["step"] >= 30]
    assert late["adversarial"].mean() > late["plain"].mean() + 0.03
    assert late["invariance"].mean() > 0.9
    assert (found["lr"].diff().dropna() < 0).all()
    assert (found["image_mse"] <= STRONG**2).all()


def test_rows_are_those_of_the_objective_before_the_first_update(some_digits, trained):
    """The first row again, from the features of the base and of the model with its initial tokens."""
    first, table = train(some_digits, trained, "random", steps=0)
    _, found = train(some_digits, trained, "one", steps=1)
    assert not len(table) and len(found) == 1
    base = Features(models.load(trained)[0])
    hardened = Features(models.load(trained.parents[1] / "random" / "weights.safetensors")[0])
    torch.testing.assert_close(hardened.model.network.robustness.tokens.detach(), first)
    from mettle.data.loading import evaluation_images, shuffled
    from mettle.data.store import Store

    store = Store(some_digits)
    positions = shuffled(len(store), 8, 0, 0)[0]
    images, _, _ = evaluation_images(store, models.load(trained)[1]).__getitems__(positions)
    with torch.no_grad():
        alike = LIKENESS["channels"](hardened(images), base(images)).mean()
    assert found["invariance"][0] == pytest.approx(float(alike), abs=1e-6)


def test_the_base_is_left_alone_and_the_file_holds_tokens_only(some_digits, trained):
    before = trained.read_bytes()
    values, _ = train(some_digits, trained, "alone")
    assert trained.read_bytes() == before
    state, about = models.weights.read(trained.parents[1] / "alone" / "weights.safetensors")
    assert [*state] == ["tokens"] and values.shape == (1, 4, 128)
    told = {"kind": "tokens", "n": 4, "width": 128, "base": "plain", "similarity": "channels", "position": "end"}
    assert {key: about[key] for key in told} == told
    assert (about["classes"], about["task"], about["arch"]) == (10, "classification", "vit_mini")


@pytest.mark.parametrize("through", ["base", "self"])
def test_a_training_that_is_stopped_resumes_to_the_same_tokens(some_digits, trained, through):
    attack = {"norm": "linf", "eps": "8/255", "steps": 2, "through": through}
    expected, table = train(some_digits, trained, f"whole_{through}", attack=attack)

    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(some_digits, trained, f"parts_{through}", Job(at=3, what=stop), attack=attack)
    job = Job()
    found, again = train(some_digits, trained, f"parts_{through}", job, attack=attack)
    assert torch.equal(found, expected) and again.equals(table)
    assert job.said[0] == "resuming from step 3" and job.steps == 3


def test_seeds_and_attacks_make_other_tokens_and_the_position_none(some_digits, trained):
    expected, _ = train(some_digits, trained, "here")
    other, _ = train(some_digits, trained, "seed", told=row(seed=1))
    adaptive, _ = train(some_digits, trained, "self", attack=recipe()["attack"] | {"through": "self"})
    behind, _ = train(some_digits, trained, "behind", position="registers")
    assert not torch.equal(other, expected) and not torch.equal(adaptive, expected)
    torch.testing.assert_close(behind, expected, rtol=0, atol=1e-3)


def test_no_tokens_change_nothing_and_train_nothing(some_digits, trained):
    values, found = train(some_digits, trained, "none", n=0, steps=2)
    assert values.shape == (1, 0, 128)
    assert found["invariance"].tolist() == pytest.approx([1, 1]) and (found["adversarial"] == found["plain"]).all()


def test_rates_rise_then_stay_or_fall_to_nothing():
    constant = {"name": "adam", "lr": 0.1, "decay": "none", "warmup_steps": 2}
    assert [rate_at(step, 6, constant) for step in range(6)] == pytest.approx([0.05, 0.1, 0.1, 0.1, 0.1, 0.1])
    cosine = constant | {"decay": "cosine"}
    assert [rate_at(step, 6, cosine) for step in (0, 2, 4)] == pytest.approx([0.05, 0.1, 0.05])


def test_a_loss_that_is_not_finite_ends_the_training(some_digits, trained):
    with pytest.raises(
        ValueError, match=r"^tokens of hard: the loss is nan at step \d: lower optimizer\.lr \(1e\+30\) of rec"
    ):
        train(some_digits, trained, "lost", optimizer={"lr": 1e30, "name": "sgd"}, init_std=1e30)


def test_two_processes_learn_the_tokens_of_one(some_digits, trained, tmp_path):
    # Batches of 8 are two parts of 4; each image has its own draws, wherever it is.
    attack = {"norm": "linf", "eps": "8/255", "steps": 2, "through": "self"}
    expected, table = train(some_digits, trained, "one_self", attack=attack)
    code = f"""
    from pathlib import Path
    from token_trainings import train

    fabric = {{"accelerator": "cpu", "devices": 2}}
    train({str(some_digits)!r}, Path({str(trained)!r}), "two_self", fabric=fabric, attack={attack})
    """
    finished(started(tmp_path, code, Path(__file__).parent))
    found, again = result(trained.parents[1] / "two_self" / "weights.safetensors")
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)
    assert again["n"].tolist() == table["n"].tolist()
    for column in ("invariance", "adversarial", "plain", "image_mse"):
        assert again[column].tolist() == pytest.approx(table[column].tolist(), abs=1e-4)

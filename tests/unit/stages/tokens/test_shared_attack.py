"""Attacked images that trainings of robustness tokens have in common: the same tokens as without."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from token_trainings import Job, recipe, result, train

from mettle import tables
from mettle.stages.tokens.shared import Shared, share
from processes import finished, started

EPS = 8 / 255


def shared(store, base, folder, job=None, **other):
    """Attacked images of the trainings of a recipe."""
    told = {"seed": 0} | {key: recipe(**other)[key] for key in ("steps", "batch_size", "precision", "attack")}
    folder = base.parents[1] / folder
    folder.mkdir(exist_ok=True)
    target = folder / "attacked.npy"
    share(told, store, base, target, target.with_suffix(".parquet"), folder / "resume", job or Job())
    return target


def equal(found, expected):
    tokens, table = found
    assert torch.equal(tokens, expected[0])
    close = {"rtol": 0, "atol": 1e-6}
    pd.testing.assert_frame_equal(table.drop(columns="model"), expected[1].drop(columns="model"), **close)


@pytest.mark.parametrize("attack", [{"norm": "l2", "eps": 2.0}, {"rounding": True}, {"norm": "linf_normalised"}])
def test_tokens_are_those_of_a_training_that_attacks_by_itself(some_digits, trained, attack):
    own = {"attack": recipe()["attack"] | attack}
    images = shared(some_digits, trained, "once", **own)
    for n in (1, 4):
        expected = train(some_digits, trained, "by_itself", n=n, **own)
        equal(train(some_digits, trained, "together", shared=images, n=n, **own), expected)


def test_a_row_for_each_image_and_all_inside_the_ball(some_digits, trained):
    images, job = shared(some_digits, trained, "ball"), Job()
    found, table = np.load(images), tables.read(images.with_suffix(".parquet"), tables.SHARED_ATTACK)
    assert found.dtype == np.float32 and found.shape == (48, 3, 32, 32)
    assert table["step"].tolist() == np.repeat(range(6), 8).tolist()
    assert found.min() >= 0 and found.max() <= 1 and (table["image_mse"] <= EPS**2).all()
    assert (table["plain"] < 1).all() and not (images.parent / "resume").exists()
    assert not job.said


def test_a_killed_job_resumes_with_the_same_images(some_digits, trained):
    expected = np.load(shared(some_digits, trained, "whole"))

    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shared(some_digits, trained, "parts", Job(at=3, what=stop))
    job = Job()
    found = shared(some_digits, trained, "parts", job)
    assert np.array_equal(np.load(found), expected)
    assert job.said[0] == "resuming: 3 of 6 batches are attacked" and job.steps == 3


def test_a_training_on_shared_images_that_is_stopped_resumes_to_the_same_tokens(some_digits, trained):
    images = shared(some_digits, trained, "unbroken")
    expected = train(some_digits, trained, "unbroken_training", shared=images)

    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(some_digits, trained, "broken_training", Job(at=3, what=stop), shared=images)
    job = Job()
    equal(train(some_digits, trained, "broken_training", job, shared=images), expected)
    assert job.said[0] == "resuming from step 3" and job.steps == 3


def test_images_of_another_training_are_refused(some_digits, trained):
    few, other = shared(some_digits, trained, "few", steps=2), shared(some_digits, trained, "other", batch_size=4)
    with pytest.raises(ValueError, match=r"attacked\.npy has other images in update 2: delete it and the table beside"):
        train(some_digits, trained, "refused", shared=few)
    with pytest.raises(ValueError, match=r"attacked\.npy has other images in update 0: delete it"):
        train(some_digits, trained, "refused_too", shared=other)
    np.save(few, np.load(few)[1:])
    with pytest.raises(ValueError, match=r"attacked\.npy holds 15 images, the table beside it 16 rows: delete both$"):
        Shared(few)


def test_two_processes_take_their_parts(some_digits, trained, tmp_path):
    images = shared(some_digits, trained, "halves")
    expected, table = train(some_digits, trained, "one_shared", shared=images)
    code = f"""
    from pathlib import Path
    from token_trainings import train

    fabric = {{"accelerator": "cpu", "devices": 2}}
    train({str(some_digits)!r}, Path({str(trained)!r}), "two_shared", shared={str(images)!r}, fabric=fabric)
    """
    finished(started(tmp_path, code, Path(__file__).parent))
    found, again = result(trained.parents[1] / "two_shared" / "weights.safetensors")
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)
    assert again["plain"].tolist() == pytest.approx(table["plain"].tolist(), abs=1e-6)

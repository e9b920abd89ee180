"""Corruptions beside those of the package imagecorruptions-imaug, as tests/golden/corruptions.parquet records them."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from mettle.corruptions.corrupter import Corrupter, Parity

TABLE = pd.read_parquet(Path(__file__).parents[2] / "golden" / "corruptions.parquet")
PUBLISHED = Corrupter(parity=Parity(truncated=True, copied_glass=True, corner_zoom=True))
FIXED = TABLE[TABLE["pixels"].notna()]
DRAWN = TABLE[TABLE["pixels"].isna() & (TABLE["corruption"] != "frost")]  # its textures are others


def photograph(row):
    whole = Image.fromarray(load_sample_images().images[0])
    return np.asarray(whole.resize((row.width, row.height), Image.Resampling.BOX))


def named(rows):
    return [pytest.param(row, id=f"{row.corruption}-{row.severity}") for row in rows.itertuples()]


@pytest.mark.parametrize("row", named(FIXED))
def test_what_draws_nothing_is_within_one_grey_level(row):
    expected = np.asarray(Image.open(io.BytesIO(row.pixels))).astype(int)
    found = PUBLISHED(photograph(row), row.corruption, row.severity, key=0)
    assert abs(found - expected).max() <= 1
    rounded = Corrupter(parity=Parity(corner_zoom=True))(photograph(row), row.corruption, row.severity, key=0)
    assert abs(rounded - expected).max() <= 1, "rounding moves a pixel by one at most"


@pytest.mark.parametrize("row", named(DRAWN))
def test_what_is_drawn_changes_the_image_as_much(row):
    clean = photograph(row).astype(float)
    changes = [
        ((PUBLISHED(photograph(row), row.corruption, row.severity, key) - clean) ** 2).mean() for key in range(60)
    ]
    error = np.hypot(np.std(changes) / np.sqrt(len(changes)), row.error)
    assert abs(np.mean(changes) - row.residual) < 4 * error + 0.002 * row.residual

"""Writes docs/corruptions.jpg: a photograph of scikit-learn under the 15 corruptions at severities 1, 3 and 5."""

from pathlib import Path

import cv2
import numpy as np
from sklearn.datasets import load_sample_image

from mettle.corruptions import BENCHMARK
from mettle.corruptions.corrupter import Corrupter

SIDE, GAP, TITLE, COLUMNS = 132, 4, 22, 5
TEXT = (cv2.FONT_HERSHEY_SIMPLEX, 0.42, (30, 30, 30), 1, cv2.LINE_AA)


def picture() -> np.ndarray:
    """The types in rows of five, each with its name and its severities below, uint8 RGB."""
    clean = cv2.resize(load_sample_image("china.jpg")[:, 60:487], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    step, block = SIDE + GAP, 3 * (SIDE + GAP) + TITLE
    canvas = np.full((block * -(-len(BENCHMARK) // COLUMNS) + GAP, step * COLUMNS + GAP, 3), 255, np.uint8)
    for number, name in enumerate(BENCHMARK):
        top, left = (number // COLUMNS) * block, (number % COLUMNS) * step + GAP
        cv2.putText(canvas, name.replace("_", " "), (left, top + 15), *TEXT)
        for place, severity in enumerate((1, 3, 5)):
            row = top + TITLE + place * step
            canvas[row : row + SIDE, left : left + SIDE] = Corrupter()(clean, name, severity, key="china.jpg")
    return canvas


if __name__ == "__main__":
    path = Path(__file__).with_name("corruptions.jpg")
    cv2.imwrite(str(path), picture()[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])

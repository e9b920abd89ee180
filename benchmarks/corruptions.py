"""`make bench`: corruptions beside imagecorruptions-imaug, on one core, in one run, equal values first.

What draws nothing has to be within one grey level of the peer. What is drawn has to change the image as much, within a
tenth on average, of fog over several draws, and so has zoom blur of rectangles, of which the peer adds only what fits.
Frost may differ, since its textures are others. Rounds of both alternate, the fastest of each counts.
"""

import warnings
from functools import partial

import cv2
import numpy as np
import record
from PIL import Image
from sklearn.datasets import load_sample_image
from timing import race

from mettle.corruptions import BENCHMARK, SEVERITIES
from mettle.corruptions.corrupter import CORRUPTIONS, Corrupter, Parity

COLUMNS = ["corruption", "size", "ours, ms", "peer, ms", "ratio", "ours changes pixels by", "the peer by"]
SIZES = [(224, 224), (480, 640)]
PUBLISHED = Corrupter(parity=Parity(truncated=True, copied_glass=True, corner_zoom=True))
ROUNDS = 3
DRAWS = {"fog": 20}  # of which the mean change is taken: whole clouds are drawn, few pixels at a time elsewhere


def main() -> None:
    parser = record.arguments(__doc__)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    np.random.seed(0)  # the peer draws from NumPy's global generator
    with record.table("corruptions", COLUMNS, options, 1, ["numpy", "imagecorruptions-imaug"]) as add:
        for size in SIZES:
            image = photograph(*size)
            sums = np.zeros(2)
            for name in BENCHMARK:
                times, changes = compared(name, image)
                sums += times
                add(name, _size(size), *_cells(times), *(f"{change:.1f}" for change in changes))
            add("**all fifteen**", _size(size), *_cells(sums), "", "")


def photograph(height: int, width: int) -> np.ndarray:
    """A photograph at a size, uint8 (h, w, 3)."""
    image = Image.fromarray(load_sample_image("china.jpg")).resize((width, height), Image.Resampling.LANCZOS)
    return np.ascontiguousarray(image)


def compared(name: str, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Milliseconds of ours and the peer's and the mean change of pixels in grey levels, means over severities."""
    times, changes = np.zeros(2), np.zeros(2)
    exact = not CORRUPTIONS[name].draws and (name != "zoom_blur" or image.shape[0] == image.shape[1])
    for severity in SEVERITIES:
        runs = partial(PUBLISHED, image, name, severity, 0), partial(peer, image, name, severity)
        (ours, found), (theirs, expected) = race(ROUNDS, *runs)
        assert not exact or abs(found.astype(int) - expected).max() <= 1, (name, severity)
        times += np.array([ours, theirs]) * 1000 / len(SEVERITIES)
        changes += changed(name, image, severity, found, expected)
    changes /= len(SEVERITIES)
    assert name == "frost" or abs(changes[0] / changes[1] - 1) < 0.1, (name, changes)
    return times, changes


def changed(name: str, image: np.ndarray, severity: int, *first: np.ndarray) -> np.ndarray:
    """Mean change of pixels in grey levels by ours and by the peer, given the first draw of each."""
    draws = [first]
    for key in range(1, DRAWS.get(name, 1)):
        draws.append((PUBLISHED(image, name, severity, key), peer(image, name, severity)))
    return np.mean([[abs(one.astype(int) - image).mean() for one in draw] for draw in draws], axis=0)


def peer(image: np.ndarray, name: str, severity: int) -> np.ndarray:
    """The image corrupted by the peer."""
    from imagecorruptions import corrupt

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return corrupt(image, severity=severity, corruption_name=name)


def _cells(times: np.ndarray) -> tuple[str, str, str]:
    return f"{times[0]:.1f}", f"{times[1]:.1f}", f"{times[1] / times[0]:.1f}"


def _size(size: tuple[int, int]) -> str:
    return f"{size[1]}x{size[0]}"


if __name__ == "__main__":
    main()

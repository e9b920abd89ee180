"""Reading JPEG images from a store beside torchvision's ImageFolder with PIL: equal pixels first, then images/s.

One thread each, files in the page cache. The store checks the SHA-256 of every image that it reads; a folder checks
nothing.
"""

import io
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow" / "scripts"))

import numpy as np
import record
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from timing import race
from torchvision.datasets import ImageFolder
from torchvision.transforms.functional import pil_to_tensor

from mettle.data.item import Item
from mettle.data.store import Store, write

COLUMNS = ["what", "ours, images/s", "peer, images/s", "ratio", "our value", "peer's value"]
# Title, height and width in pixels, number of images.
SIZES = [("64 px JPEG", 64, 64, 2000), ("ImageNet-size JPEG, 500x375", 375, 500, 100)]


def main() -> None:
    parser = record.arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with record.table("reading", COLUMNS, options, packages=["torchvision", "pillow", "simplejpeg"]) as add:
        for row in rows(options.rounds):
            add(*row)


def rows(rounds: int) -> Iterator[tuple[str, ...]]:
    """A row per size of the images."""
    for title, height, width, n in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            store, files = made(Path(folder), height, width, n)
            runs = (store.arrays, lambda: [files[k][0] for k in range(n)])  # noqa: B023 (called within the loop)
            (ours, found), (peer, known) = race(rounds, *runs)
        known = torch.stack(known).permute(0, 2, 3, 1).numpy()
        assert found.dtype == known.dtype and np.array_equal(found, known), f"{title}: pixels differ"
        values = (f"mean {pixels.mean():.4f}" for pixels in (found, known))
        what = f"{title} to uint8 arrays; peer ImageFolder"
        yield what, f"{n / ours:,.0f}", f"{n / peer:,.0f}", f"{peer / ours:.1f}", *values


def made(folder: Path, height: int, width: int, n: int) -> tuple[Store, ImageFolder]:
    """The same n images as a store and as files in one class folder."""
    items = [Item(data, 0, "a", f"crop {k}") for k, data in enumerate(crops(height, width, n))]
    write(folder / "test.lmdb", folder / "test.parquet", items)
    (folder / "files" / "a").mkdir(parents=True)
    for k, item in enumerate(items):
        (folder / "files" / "a" / f"{k:05}.jpg").write_bytes(item.data)
    return Store(folder / "test.lmdb"), ImageFolder(folder / "files", pil_to_tensor)


def crops(height: int, width: int, n: int) -> Iterator[bytes]:
    """Crops at random places of the two photographs that scikit-learn carries, as JPEG of quality 90."""
    rng, photos = np.random.default_rng(0), load_sample_images().images
    for k in range(n):
        photo = photos[k % len(photos)]
        top, left = (
            int(rng.integers(whole - part + 1)) for whole, part in zip(photo.shape, (height, width), strict=False)
        )
        buffer = io.BytesIO()
        Image.fromarray(photo[top : top + height, left : left + width]).save(buffer, "JPEG", quality=90)
        yield buffer.getvalue()


if __name__ == "__main__":
    main()

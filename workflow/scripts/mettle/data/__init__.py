"""Images: the store that all stages read, and readers of data sets as they are published, which only prep needs."""

from mettle.data.item import Item
from mettle.data.perturbed import write_perturbed
from mettle.data.store import Store, write

__all__ = ["Item", "Store", "write", "write_perturbed"]

"""Images: the store that all stages read, and readers of published data sets, which only prep needs."""

from mettle.data.item import Item
from mettle.data.perturbed import write_perturbed
from mettle.data.store import Store, write
from mettle.data.target_store import TargetStore

__all__ = ["Item", "Store", "TargetStore", "write", "write_perturbed"]

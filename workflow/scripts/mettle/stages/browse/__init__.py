"""Browse stage: a page that shows a packed data set, to see at a glance whether it was read correctly."""

from mettle.stages.browse.page import browse

__all__ = ["browse"]

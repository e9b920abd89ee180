"""Browse stage: a page that shows what is packed of a data set, to see at a glance whether it was read right."""

from mettle.stages.browse.page import browse

__all__ = ["browse"]

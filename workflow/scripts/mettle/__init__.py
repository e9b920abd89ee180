"""Robustness of vision models as tables: data, models, attacks, similarity measures, and the stages over them."""

__version__ = "0.1.0"

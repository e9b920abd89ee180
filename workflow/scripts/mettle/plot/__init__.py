"""Figures: each module has `draw(table) -> Figure` and reads no file."""

"""Tokens stage: robustness tokens for the frozen network of a base, trained or published, and as its registers."""

from mettle.stages.tokens.convert import convert, registers
from mettle.stages.tokens.loop import harden

__all__ = ["convert", "harden", "registers"]

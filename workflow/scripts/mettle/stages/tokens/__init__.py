"""Tokens stage: robustness tokens, trained for the frozen network of a base."""

from mettle.stages.tokens.loop import harden

__all__ = ["harden"]

"""Tokens stage: robustness tokens for the frozen network of a base, trained or published, and as its registers."""

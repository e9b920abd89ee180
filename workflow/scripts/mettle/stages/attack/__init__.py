"""Attack stage: attacks on every held-out image, and studies of attacks over steps, epochs and models."""

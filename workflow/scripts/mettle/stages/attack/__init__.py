"""Attack stage: every held-out image attacked, and studies of attacks over steps, epochs and models."""

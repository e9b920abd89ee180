"""Attack stage: `evaluate` attacks every image, `summary` makes accuracies of it and needs no torch."""

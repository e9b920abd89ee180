"""Cards stage: a page about each model and one about all, from the files that exist."""

"""Alloy's stages: one script a stage, named for it, and the modules they share."""

"""Notes for pages that show runs of a single training seed."""

ONE_SEED = (
    "One training seed: the intervals do not include the variation between seeds. "
    "To include it, run `make sweep SEEDS=3`."
)
ONE_SEED_EACH = (
    "Before and after are one training seed each, so these changes include the variation between seeds. "
    "To measure this variation, run `make sweep SEEDS=3`."
)

"""Notes for tables and pages that show results of a single training seed."""

ONE_SEED = "One training seed: the luck of training is not in the intervals (`make sweep SEEDS=3` puts it in)."
ONE_SEED_EACH = (
    "Before and after are one training seed each: the luck of training is in these changes (`make sweep SEEDS=3` "
    "shows how large it is)."
)

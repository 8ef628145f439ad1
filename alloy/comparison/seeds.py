"""Notes for tables and pages that show results of a single training seed."""

ONE_SEED = (
    "One training seed: the intervals do not include the variation between training seeds (`make sweep SEEDS=3` "
    "measures it)."
)
ONE_SEED_EACH = (
    "Both values are from one training seed, so the changes include the variation between training seeds (`make sweep "
    "SEEDS=3` measures it)."
)

"""Compare training speeds on a CPU: attention with a mask over packed rows, and separate attention per example.

    python -m benchmarks.packed_attention [rounds]

Runs forward and backward passes of a model of the demo's shape over four rows of 256 and of 512 tokens, in turn one row
at a time and all rows at once. One process uses all instructions of this processor, another one only AVX2. Tokens per
second by round, and the median ratio to the mask with one row at a time, are written to
benchmarks/results/packed-attention-cpu<cores>-<date>.json.
"""

import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

from alloy.core.files import Row, write_json
from benchmarks.muon import AVX2

MEASURE_SCRIPT = """
import copy, json, sys, time, torch
from transformers import Qwen3Config, Qwen3ForCausalLM
from alloy.training import packed_attention
torch.manual_seed(0)
masked = Qwen3ForCausalLM(Qwen3Config(vocab_size=4096, hidden_size=128, intermediate_size=384, num_hidden_layers=4,
                                      num_attention_heads=4, num_key_value_heads=2, head_dim=32))
packed = copy.deepcopy(masked)
packed_attention.use(packed)
def measure_speed(model, length, rows):
    parts = [length // 4, length // 2, length // 4]  # three examples a row
    positions = torch.cat([torch.arange(part) for part in parts])
    extra = {"example_lengths": parts * rows} if model is packed else {}
    ids = torch.randint(0, 4096, (1, length * rows))
    start = time.perf_counter()
    for _ in range(4 // rows):
        kept = torch.arange(0, length * rows, 2)
        logits = model(input_ids=ids, position_ids=positions.repeat(rows)[None], logits_to_keep=kept, use_cache=False,
                       **extra).logits
        logits.logsumexp(-1).sum().backward()
    return 4 * length / (time.perf_counter() - start)
variants = {f"{name}, {rows} row{'s' * (rows > 1)} of {length} at once": (model, length, rows)
            for length in (256, 512) for name, model in (("mask", masked), ("packed", packed)) for rows in (1, 4)}
for variant in variants.values():
    measure_speed(*variant)
print(json.dumps([{name: measure_speed(*variant) for name, variant in variants.items()}
                  for _ in range(int(sys.argv[1]))]))
"""


def main() -> None:
    """Measure all variants and write the result."""
    rounds = sys.argv[1] if len(sys.argv) > 1 else "7"
    result: Row = {
        "command": f"python -m benchmarks.packed_attention {rounds}",
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
    }
    for title, environment in (("as it is", {}), ("AVX2 alone", AVX2)):
        env = {**os.environ, "GOMP_SPINCOUNT": "10000", **environment}
        rounds_measured = json.loads(
            subprocess.check_output([sys.executable, "-c", MEASURE_SCRIPT, rounds], env=env, text=True)
        )
        result[title] = {}
        for variant in rounds_measured[0]:
            baseline = f"mask, 1 row of {256 if ' 256 ' in variant else 512} at once"
            speeds = [round(row[variant]) for row in rounds_measured]
            ratio = round(statistics.median(row[variant] / row[baseline] for row in rounds_measured), 2)
            result[title][variant] = {"tokens_per_second": speeds, "ratio": ratio}
            print(f"{title}: {variant}: {statistics.median(speeds):,.0f} tokens per second, {ratio} times")
    day = datetime.datetime.now(tz=datetime.UTC).date()
    write_json(Path(f"benchmarks/results/packed-attention-cpu{os.cpu_count()}-{day}.json"), result)


if __name__ == "__main__":
    main()

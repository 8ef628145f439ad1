"""The base model answers the general prompts that the mix samples first; answers that can be used are kept."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from transformers import AutoModelForCausalLM, AutoTokenizer

from alloy.core.files import InputError, read_json, read_jsonl, write_json, write_jsonl
from alloy.inference.engine import Finish
from alloy.mixing.sampling_order import rank_rows
from alloy.modeling.model_folder import write_hosted
from openai_server import make_reply, serve_replies
from projects import make_environment, write_labeling_project
from stages.rehearse import find_reject_reason, keep_row, make_report, strip_thoughts
from tiny_model import COLORS, THINGS

pytestmark = pytest.mark.slow

ASKED, TOKENS, SEED = 50, 60, 3
COMMAND = [sys.executable, "-m", "stages.rehearse"]


def make_general(number: int) -> dict:
    """Return a general row; one in five has an earlier turn, one in seven a system message."""
    thing, color = THINGS[number % len(THINGS)], COLORS[number % len(COLORS)]
    turns = [("user", f"Question {number}: what is the {thing}?"), ("assistant", f"The answer of people, {number}.")]
    if number % 5 == 0:
        turns = [("user", f"Is the {thing} {color}?"), ("assistant", "Yes."), *turns]
    if number % 7 == 0:
        turns = [("system", "Be brief."), *turns]
    messages = [{"role": role, "content": content} for role, content in turns]
    return {"id": f"g{number}", "category": "facts", "source": f"s{number % 3}", "lang": "en", "messages": messages}


ROWS = [make_general(number) for number in range(70)]


def write_project(folder: Path, **rehearse: int) -> Path:
    """Write a project in which the stages before `rehearse` have run; its random base model ends some answers."""
    write_labeling_project(folder, ["A lamp."], constrain=True)  # `constrain` must not affect general answers
    set_params(folder, "self", rehearse={"rows": ASKED, "max_new_tokens": TOKENS, "seed": SEED, **rehearse})
    write_jsonl(folder / "data/decontaminate/general.jsonl", ROWS)
    config = folder / "models/base/generation_config.json"
    settings = read_json(config)
    write_json(config, {**settings, "eos_token_id": [settings["eos_token_id"], *range(20, 320, 20)]})
    return folder


def set_params(folder: Path, whose: str, ratio: float = 0.25, **more: object) -> None:
    params = {"profile": "small", "mix": {"general": whose, "ratio": ratio}, **more}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))


def run_rehearse(folder: Path, **env: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        COMMAND, cwd=folder, env=make_environment(**env), text=True, capture_output=True, check=False, timeout=300
    )


def read_error(folder: Path) -> str:
    """Run the stage, which must fail with one line and write nothing; return the line."""
    result = run_rehearse(folder)
    assert result.returncode == 1, result.stdout + result.stderr
    assert not (folder / "data/rehearse").exists()
    assert not (folder / "metrics/rehearse.json").exists()
    (line,) = result.stderr.splitlines()
    return line


def read_answers(folder: Path) -> list[dict]:
    return read_jsonl(folder / "data/rehearse/general.jsonl")


def read_metrics(folder: Path) -> dict:
    return read_json(folder / "metrics/rehearse.json")["rehearse"]


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory) -> tuple[Path, str]:
    """A project in which the stage has run, and its output."""
    folder = write_project(tmp_path_factory.mktemp("rehearsed") / "project")
    result = run_rehearse(folder)
    assert (result.returncode, result.stderr) == (0, "")
    return folder, result.stdout


def test_the_rows_that_the_mix_samples_first_get_a_new_last_message(rehearsed):
    folder, _ = rehearsed
    rows = read_answers(folder)
    first = {row["id"]: index for index, row in enumerate(rank_rows(ROWS, SEED)[:ASKED])}
    assert len(rows) > 5
    assert [first[row["id"]] for row in rows] == sorted(first[row["id"]] for row in rows)
    for row in rows:
        original = ROWS[int(row["id"][1:])]
        assert list(row) == list(original)
        assert row["messages"][:-1] == original["messages"][:-1]
        assert {key: row[key] for key in row if key != "messages"} == {
            key: original[key] for key in original if key != "messages"
        }
        assert row["messages"][-1]["role"] == "assistant"
        assert row["messages"][-1]["content"].strip()
    assert len({row["messages"][-1]["content"] for row in rows}) > len(rows) / 2
    assert {len(row["messages"]) for row in rows} >= {2, 4}


def test_answers_are_greedy_and_continue_the_earlier_turns(rehearsed):
    folder, _ = rehearsed
    base = folder / "models/base"
    model: Any = AutoModelForCausalLM.from_pretrained(base)
    tokenizer: Any = AutoTokenizer.from_pretrained(base)
    for row in read_answers(folder):
        prompt = tokenizer.apply_chat_template(
            row["messages"][:-1], add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        output = model.generate(**prompt, max_new_tokens=TOKENS, do_sample=False, pad_token_id=0)[0]
        stops = model.generation_config.eos_token_id
        answer = [token for token in output[prompt["input_ids"].shape[1] :].tolist() if token not in stops]
        assert row["messages"][-1]["content"] == tokenizer.decode(answer, skip_special_tokens=True).strip()


def test_the_metrics_count_requested_kept_and_dropped_answers(rehearsed):
    folder, output = rehearsed
    found = read_metrics(folder)
    assert found["asked"] == ASKED
    assert found["kept"] == len(read_answers(folder))
    assert found["kept"] + sum(found["dropped"].values()) == ASKED
    assert list(found["dropped"]) == ["empty", "truncated", "repeated", "context", "refused", "failed"]
    assert found["dropped"]["truncated"] > 0
    assert found["tokens_in"] > 0
    assert 0 < found["tokens_out"] < ASKED * TOKENS
    assert found["seconds"] > 0
    assert output.startswith(f"rehearse: {found['kept']} of {ASKED} answers kept; ")
    assert f"{found['dropped']['truncated']} truncated" in output
    assert output.count("\n") == 1


def test_a_new_ratio_reuses_the_existing_answers(rehearsed, tmp_path):
    folder = shutil.copytree(rehearsed[0], tmp_path / "project")
    set_params(folder, "self", ratio=0.75, rehearse={"rows": ASKED, "max_new_tokens": TOKENS, "seed": SEED})
    before = read_metrics(folder)
    assert run_rehearse(folder).returncode == 0
    assert read_metrics(folder) == before  # to the tenth of a second and token a second


def test_more_rows_do_not_change_the_first_answers(rehearsed, tmp_path):
    folder = write_project(tmp_path / "project", rows=30)
    assert run_rehearse(folder).returncode == 0
    few, many = read_answers(folder), read_answers(rehearsed[0])
    assert read_metrics(folder)["asked"] == 30
    assert few == many[: len(few)]


def test_after_a_kill_and_a_restart_the_output_has_the_same_bytes(rehearsed, tmp_path):
    folder = shutil.copytree(rehearsed[0], tmp_path / "project")
    for folder_name in (".dvc", "data/rehearse"):
        shutil.rmtree(folder / folder_name)
    (folder / "metrics/rehearse.json").unlink()
    with subprocess.Popen(COMMAND, cwd=folder, env=make_environment()) as process:
        while not list(folder.glob(".dvc/tmp/alloy/rehearse-*/done.log")):
            assert process.poll() is None
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    assert not (folder / "data/rehearse").exists()
    assert run_rehearse(folder).returncode == 0
    name = "data/rehearse/general.jsonl"
    assert (folder / name).read_bytes() == (rehearsed[0] / name).read_bytes()
    resumed = read_metrics(folder)
    same = ("asked", "kept", "dropped", "tokens_in", "cached_share", "tokens_out")
    assert [resumed[key] for key in same] == [read_metrics(rehearsed[0])[key] for key in same]


def test_with_general_data_the_stage_is_skipped_without_importing_torch(tmp_path):
    folder = write_project(tmp_path / "project")
    set_params(folder, "data")
    code = "import sys, stages.rehearse; stages.rehearse.main(); sys.exit('torch' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=make_environment(), text=True, capture_output=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert re.fullmatch(r"rehearse: skipped, .*\bmix\.general\b.*\n", result.stdout)
    assert (folder / "data/rehearse/general.jsonl").read_text() == "\n"  # DVC warns of a file without a byte
    assert read_json(folder / "metrics/rehearse.json") == {"rehearse": {}}


def test_a_model_without_usable_answers_is_an_error_of_one_line(tmp_path):
    line = read_error(write_project(tmp_path / "project", rows=8, max_new_tokens=1))
    assert line.startswith("rehearse: models/base: ")
    assert re.search(r"\b8 answers .*\(.*\d truncated.*\).*rehearse\.max_new_tokens.*mix\.general", line)


def test_a_bad_general_row_is_an_error_of_one_line_before_any_model_is_loaded(tmp_path):
    folder = write_project(tmp_path / "project")
    write_jsonl(folder / "data/decontaminate/general.jsonl", [ROWS[0], ROWS[0]])
    shutil.rmtree(folder / "models")
    assert read_error(folder).startswith("rehearse: data/decontaminate/general.jsonl:2: ")


@pytest.mark.parametrize("key", ["rows", "max_new_tokens"])
def test_a_value_out_of_range_is_an_error_of_one_line(tmp_path, key):
    line = read_error(write_project(tmp_path / "project", **{key: 0}))
    assert re.match(rf"rehearse: params\.yaml: rehearse\.{key}: .*\b1\b.*\b0\b", line)


def test_a_request_to_a_hosted_model_has_all_turns_and_no_grammar(tmp_path):
    folder = write_project(tmp_path / "project")
    profile = folder / "profiles/small.yaml"
    infer = {"engine": "openai", "constrain": True, "concurrency": 4, "retries": 0}
    profile.write_text(yaml.safe_dump({**yaml.safe_load(profile.read_text()), "infer": infer}))
    shutil.rmtree(folder / "models/base")
    write_hosted(folder / "models/base", "some-model")
    with serve_replies(lambda body: make_reply(f"So says {body['messages'][-1]['content'].split()[1]}")) as service:
        result = run_rehearse(folder, OPENAI_BASE_URL=f"{service.url}/v1", OPENAI_API_KEY="a-key")
    assert (result.returncode, result.stderr) == (0, "")
    assert len(service.requests) == ASKED
    assert all("structured_outputs" not in body for body in service.requests)
    assert {body["max_completion_tokens"] for body in service.requests} == {TOKENS}
    requested = {json.dumps(body["messages"]) for body in service.requests}
    assert requested == {json.dumps(row["messages"][:-1]) for row in rank_rows(ROWS, SEED)[:ASKED]}
    assert [row["messages"][-1]["content"] for row in read_answers(folder)] == [
        f"So says {row['id'][1:]}:" for row in rank_rows(ROWS, SEED)[:ASKED]
    ]


# What becomes of one answer.


@pytest.mark.parametrize(
    ("answer", "finish", "reason"),
    [
        ("It is red.", Finish.stop, None),
        ("4", Finish.stop, None),
        ("", Finish.stop, "empty"),
        ("It is r", Finish.length, "truncated"),
        ("", Finish.context, "context"),
        ("", Finish.refused, "refused"),
        ("", Finish.failed, "failed"),
        ("It is red red red red red red red.", Finish.stop, "repeated"),
        ("It is red red red red red red red", Finish.length, "truncated"),
    ],
)
def test_an_answer_is_kept_or_rejected_for_one_reason(answer, finish, reason):
    assert find_reject_reason(answer, finish) == reason


def test_reasoning_is_not_part_of_an_answer():
    assert strip_thoughts("<think>\nA lamp. Red?\n</think>\n\nIt is red.\n") == "It is red."
    assert strip_thoughts("Hm.</think> It is red.") == "It is red."
    assert strip_thoughts("<think>\n\n</think>\n\n") == ""
    assert strip_thoughts(" It is <b>red</b>. ") == "It is <b>red</b>."


def test_a_kept_row_has_the_format_of_general_rows():
    totals: Counter[str] = Counter()
    use = {"seconds": 0.5, "tokens_in": 7, "cached_in": 2, "tokens_out": 3}
    assert keep_row({**ROWS[1], "finish": "stop", "use": use}, totals) == ROWS[1]
    assert keep_row({**ROWS[2], "finish": "length", "use": use}, totals) is None
    assert totals == {
        "asked": 2,
        "kept": 1,
        "truncated": 1,
        "finish stop": 1,
        "finish length": 1,
        "seconds": 1.0,
        "tokens_in": 14,
        "cached_in": 4,
        "tokens_out": 6,
    }
    found = make_report(totals)["rehearse"]
    assert (found["asked"], found["kept"], found["dropped"]["truncated"]) == (2, 1, 1)
    assert (found["tokens_per_second"], found["seconds"]) == (6.0, 1.0)


def test_if_no_answer_can_be_used_the_reasons_are_counted():
    with pytest.raises(InputError, match=r"^models/base: .*\b3 answers .* \(2 empty, 1 repeated\)"):
        make_report(Counter({"asked": 3, "empty": 2, "repeated": 1}))

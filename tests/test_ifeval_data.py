"""IFEval's files become canonical prompts, from JSON Lines or from the hub's parquet."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.ifeval.convert import main, read_prompts
from stages.records import InputError, read_jsonl, write_jsonl

ROWS = [
    {"key": 1, "prompt": "No commas.", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]},
    {
        "key": 2,
        "prompt": "Three words and a title.",
        "instruction_id_list": ["length_constraints:number_words", "detectable_format:title"],
        "kwargs": [{"num_words": 3, "relation": "at least"}, {}],
    },
]
REAL = Path(__file__).parents[1] / "../shared/data/ifeval/ifeval_input_data.jsonl.gz"


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data/ifeval/raw"
    folder.mkdir(parents=True)
    return folder


def test_both_layouts_give_the_same_prompts(raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_jsonl(raw / "input_data.jsonl", ROWS)
    assert read_prompts(raw) == ROWS
    (raw / "input_data.jsonl").unlink()
    pq.write_table(pa.Table.from_pylist(ROWS), raw / "train-00000-of-00001.parquet")  # with nulls for what is not given
    main()
    assert read_jsonl("data/ifeval/ifeval.jsonl") == ROWS
    assert capsys.readouterr().out == "convert: 2 prompts, 3 instructions\n"


def test_no_file_and_two_are_one_line(raw: Path) -> None:
    with pytest.raises(InputError, match=r"raw: one file of prompts belongs here .*, there is none$"):
        read_prompts(raw)
    for name in ("a.jsonl", "b.jsonl"):
        write_jsonl(raw / name, ROWS)
    with pytest.raises(InputError, match=r"there is a\.jsonl, b\.jsonl$"):
        read_prompts(raw)


def test_a_bad_row_is_named_with_its_place_and_nothing_is_written(raw: Path) -> None:
    write_jsonl(raw / "input_data.jsonl", [ROWS[0], {**ROWS[1], "kwargs": []}])
    with pytest.raises(InputError, match=r"raw/input_data\.jsonl:2: prompt 2: give `instruction_id_list`"):
        main()
    assert not Path("data/ifeval/ifeval.jsonl").exists()


def test_a_torn_parquet_file_is_one_line(raw: Path) -> None:
    (raw / "train-00000-of-00001.parquet").write_bytes(b"PAR1 torn")
    with pytest.raises(InputError, match=r"not a whole parquet file .*; fetch it again$"):
        read_prompts(raw)


@pytest.mark.skipif(not REAL.exists(), reason="../shared/data is not here")
def test_the_real_prompts_are_all_there(raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (raw / REAL.name).write_bytes(REAL.read_bytes())
    main()
    assert capsys.readouterr().out == "convert: 541 prompts, 834 instructions\n"

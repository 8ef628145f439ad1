"""The report is one self-contained page with all results, and text from data is escaped."""

import re
from pathlib import Path

import pytest
from markupsafe import escape

from alloy.comparison.error_analysis import KINDS
from alloy.core.files import read_json, write_json, write_jsonl
from example_metrics import LEAKED, TASK, make_metrics, make_svm_metrics, write_costs, write_metrics
from stages import compare, report

SUBJECTS = ("world_capitals", "currencies")
HOSTILE = '</div><script>alert(1)</script> & "quotes" {{ 7 * 7 }}'


def make_score(model: str) -> dict:
    voc = read_json(f"metrics/score/{model}.json")[model].get("voc")
    if not voc:
        return {}
    rates = {"precision": 0.25, "recall": 0.5, "f1": voc["f1"]}
    groups = {name: {"leaves": 2, "gold": 10, **rates} for name in ("head", "middle", "tail")}
    groups["unseen"] = {"leaves": 1, "gold": 0, "precision": 0.0, "recall": 0.0, "f1": 0.0}
    return {"voc": {**voc, "levels": {"L1": rates, "L2": rates}, "groups": groups}}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_project(
        {
            "base": make_metrics(),
            "tuned": make_metrics(f1=50, acc=40, generated=0, unparsed=99),
            "svm": make_svm_metrics(),
        }
    )
    return tmp_path


def write_project(models: dict) -> None:
    write_metrics(models)
    for model in models:
        write_json(f"metrics/score/{model}.json", {model: make_score(model)})
    for model in ("base", "tuned"):
        mmlu = read_json(f"metrics/mmlu/{model}.json")[model]
        if mmlu:
            mmlu["mmlu"]["subjects"] = {name: dict(mmlu["mmlu"]) for name in SUBJECTS}
        write_json(f"metrics/mmlu/{model}.json", {model: mmlu})
    write_costs()
    write_json("data/split/task.json", {**TASK, "levels": ["L1", "L2"]})
    right, wrong = ({"L1": "Setup", "L2": leaf, "content": HOSTILE} for leaf in ("Pairing", "Manual"))
    write_jsonl("data/split/test.jsonl", [{"id": "1", "text": HOSTILE, "segments": [right]}])
    answer = {"id": "1", "segments": [wrong], "valid": True, "raw": HOSTILE}
    write_jsonl("data/predictions/tuned.jsonl", [answer] if "mmlu" in models["tuned"][0] else [])
    Path("params.yaml").write_text("gate: {}\n", encoding="utf-8")
    compare.main()


def read_page() -> str:
    report.main()
    return Path("metrics/report.html").read_text(encoding="utf-8")


def test_the_page_needs_no_other_file(project: Path) -> None:
    text = read_page()
    assert "<script" not in text
    assert not re.search(r'(?:src|href)="(?!#)', text)
    outside = set(re.findall(r"https?://[^\s\"'<>]+", text)) - {
        "http://www.w3.org/1999/xlink",
        "http://www.w3.org/2000/svg",
    }
    assert all("creativecommons" in url or "purl.org" in url or "w3.org" in url for url in outside)  # names, not links


def test_texts_of_comments_and_models_are_escaped(project: Path) -> None:
    text = read_page()
    assert "&lt;/div&gt;&lt;script&gt;alert(1)&lt;/script&gt; &amp; &#34;quotes&#34; {{ 7 * 7 }}" in text
    assert "alert(1)</script>" not in text


def test_the_page_has_every_metric_and_every_finding(project: Path) -> None:
    text = read_page()
    compared = read_json("metrics/compare.json")
    for line in compared["measures"]:
        assert str(escape(line["title"])) in text
    for finding in compared["verdict"]:
        assert f"<b>{finding['topic']}:</b>" in text
        assert finding["outcome"] in text
        assert str(escape(finding["text"])) in text
    assert re.search(r"\b40 examples; 75\.0 % .* 25\.0 % ", text)
    assert KINDS["leaf"] in text


def test_chat_answers_are_side_by_side_with_their_errors(project: Path) -> None:
    _, rows = make_metrics(chat=3)
    answers = [LEAKED, HOSTILE, " ", *["It is 4."] * 9]
    write_jsonl(
        "metrics/chat/tuned.jsonl",
        [
            {**row, "answer": answer, "cut": int(answer is HOSTILE)}
            for row, answer in zip(rows["chat"], answers, strict=True)
        ],
    )
    compare.main()
    text = read_page()
    assert text.count('<div class="chat">') == 12
    flags = re.findall(r'<span class="flag">([^<]*)</span>', text)
    assert flags == ["customer labels", "cut at the token limit", "empty"]
    assert str(escape(LEAKED)) in text
    assert "<script" not in text
    assert "What is 11?" in text


def test_leakage_is_shown_by_test_with_n_and_interval(project: Path) -> None:
    write_project({"base": make_metrics(), "tuned": make_metrics(leak=92), "svm": make_svm_metrics()})
    lines = {line["name"]: line for line in read_json("metrics/compare.json")["measures"]}
    change = lines["mmlu.leak"]["change"]
    cells = ["answers in the task&#39;s format, MMLU", "100", "0.000", "0.920", "+0.920"]
    cells.append(f"{change['low']:+.3f} to {change['high']:+.3f}")
    text = read_page()
    start = text.index(f"<tr><td>{cells[0]}</td>")
    row = text[start:].partition("</tr>")[0]
    assert re.findall(r"<td>([^<]*)</td>", row)[:6] == cells


def test_the_page_has_the_costs_of_each_model(project: Path) -> None:
    text = read_page()
    assert "<tr><td>seconds of training</td><td>50.0</td><td>100</td><td>7.00</td></tr>" in text
    assert "<tr><td>comments labeled per second</td><td>22.2</td><td>12.5</td><td>27,587</td></tr>" in text


def test_each_plot_is_in_the_page_and_in_a_file(project: Path) -> None:
    text = read_page()
    files = {file.stem for file in Path("metrics/plots").glob("*.svg")}
    assert files == {"tradeoff", "levels", "tail", "subjects_acc", "subjects_generated_acc"}
    assert text.count("<svg role=") == len(files)
    assert "currentColor" in text


def test_path_and_emotion_have_bars_if_labels_have_emotions(project: Path) -> None:
    read_page()
    assert "path and emotion" not in Path("metrics/plots/levels.svg").read_text(encoding="utf-8")
    write_project(
        {"base": make_metrics(full=5), "tuned": make_metrics(f1=50, full=40), "svm": make_svm_metrics(full=20)}
    )
    assert "VOC F1, path and emotion" in read_page()
    assert "path and emotion" in Path("metrics/plots/levels.svg").read_text(encoding="utf-8")


def test_the_same_metrics_give_the_same_page(project: Path) -> None:
    assert read_page() == read_page()


def test_a_hosted_base_has_a_page_with_its_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_project({"base": make_svm_metrics(20), "tuned": ({}, {}), "svm": make_svm_metrics()})
    write_json("metrics/train.json", {"train": {"hosted": "some-model"}})
    write_json("metrics/infer/tuned.json", {"tuned": {}})
    text = read_page()
    assert "Nothing was trained" in text
    assert {file.stem for file in Path("metrics/plots").glob("*.svg")} == {"levels", "tail"}

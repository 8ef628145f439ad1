"""Model answers are escaped on the page, and tables have the right columns for base and SVM."""

from alloy.evidence.page import MAX_ANSWER_LENGTH, escape_text, list_columns


def make_row(label: str, base: float) -> dict:
    return {"label": label, "metrics": {"voc.f1": {"n": 9, "base": {"value": base}, "tuned": {"value": 0.5}}}}


def test_an_answer_becomes_one_escaped_line() -> None:
    assert escape_text("# No *title*\n<b>&amp;</b> [a](b) `c`") == (
        r"\# No \*title\* &lt;b&gt;&amp;amp;&lt;/b&gt; \[a\](b) \`c\`"
    )
    assert escape_text(" \n ") == "(empty)"
    assert escape_text("a" * (MAX_ANSWER_LENGTH + 1)) == "a" * MAX_ANSWER_LENGTH + "..."


def test_configurations_that_share_their_tests_share_a_column_for_base() -> None:
    found = {"configurations": [make_row("A", 0.10049), make_row("B", 0.10051)]}
    assert [title for title, _ in list_columns(found)] == ["base", "A", "B"]


def test_configurations_with_different_tests_have_separate_columns_for_base() -> None:
    found = {"configurations": [make_row("A", 0.1), make_row("B", 0.2)]}
    assert [title for title, _ in list_columns(found)] == ["base, A", "base, B", "A", "B"]

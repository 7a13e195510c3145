"""HTML of reports: text of any script stays text."""

import pytest

from cultivar_trainer.reports import markup


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("گل\u200cرز", "گل\u200cرز"),  # Persian needs its joiners
        ("rose\u00a0blanche", "rose\u00a0blanche"),
        ("a\u202egpj.exe", "a\ufffdgpj.exe"),
        ("a\x00\x1b\udcff", "a\ufffd\ufffd\ufffd"),
        ("a\nb <b>&\"'", "a b &lt;b&gt;&amp;&quot;&#x27;"),
    ],
)
def test_text_keeps_what_scripts_need_and_loses_what_would_mislead(name: str, shown: str) -> None:
    assert markup.text(name) == shown
    assert f"<h1>{shown}</h1>" in markup.page(name, ())


def test_a_table_may_have_no_head() -> None:
    assert "<thead>" not in markup.table((), [("a", "b")])
    assert '<td class="number">1</td>' in markup.table(("n>",), [("1",)])

import pytest

from ganctl.errors import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("größe 画像 a=b it's #1 100% é", "größe 画像 a=b it's #1 100% é"),
        ("no\u00a0break\u3000wide", "no\u00a0break\u3000wide"),
        ("👩\u200d🚀", "👩\u200d🚀"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\x9b31mb", "a\\x9b31mb"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("two\nlines\r\tand\x00\x7f", "two\\nlines\\r\\tand\\x00\\x7f"),
        ("gpj.\u202eexe", "gpj.\\u202eexe"),
        ("line\u2028paragraph\u2029", "line\\u2028paragraph\\u2029"),
        ("not UTF-8: \udcff", "not UTF-8: \\udcff"),
        ("tag \U000e0041", "tag \\U000e0041"),
    ],
)
def test_what_steers_a_terminal_is_shown_as_its_escape(text, shown):
    assert printable(text) == shown
    printable(text).encode()  # whatever came in, it can be written to a log


def test_a_text_of_several_lines_keeps_them_where_it_says_so():
    assert printable("wrong\x1b[0m\n  try: this", keep="\n") == "wrong\\x1b[0m\n  try: this"

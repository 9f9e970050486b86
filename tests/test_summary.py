from ganctl.summary import summarized, table

ROWS = [
    {"loss": "hinge", "seed": "0", "status": "done", "value": "1"},
    {"loss": "hinge", "seed": "1", "status": "done", "value": "3"},
    {"loss": "wgan_gp", "seed": "0", "status": "done", "value": "5"},
    {"loss": "wgan_gp", "seed": "1", "status": "diverged", "value": "1e+09"},
    {"loss": "wgan", "seed": "0", "status": "failed", "value": ""},
]
SETTINGS = ["loss", "seed"]


def test_mean_and_standard_error_over_the_seeds():
    rows = summarized(ROWS, SETTINGS)
    # the deviation of 1 and 3 is the root of 2; over the root of two seeds that is 1
    assert [(row["mean"], row["standard_error"], row["seeds"]) for row in rows] == [
        ("2", "1", "2"),
        ("2", "1", "2"),
        ("5", "", "1"),
        ("5", "", "1"),
        ("", "", "0"),
    ]
    assert rows[3]["value"] == "1e+09"


def test_the_table_has_a_line_a_setting():
    assert table(ROWS, SETTINGS).splitlines() == [
        r"\begin{tabular}{lrr}",
        r"\hline",
        r"loss & seeds & value \\",
        r"\hline",
        r"hinge & 2 & 2 $\pm$ 1 \\",
        r"wgan\_gp & 1 & 5 \\",
        r"wgan & 0 & -- \\",
        r"\hline",
        r"\end{tabular}",
    ]


def test_what_never_changes_is_left_out_and_odd_text_is_printed_as_it_is():
    rows = [{"name": name, "steps": "4", "seed": "0", "status": "done", "value": "1"} for name in ("50%_a", "~b\\")]
    lines = table(rows, ["name", "steps", "seed"]).splitlines()
    assert lines[2] == r"name & seeds & value \\"
    assert lines[4:6] == [r"50\%\_a & 1 & 1 \\", r"\textasciitilde{}b\textbackslash{} & 1 & 1 \\"]

"""Runs side by side: means over seeds, the best on top, as wide as the console."""

from torch.testing import assert_close

from ganctl.leaderboard import Entry, Row, pages, ranked, row_of, show


def entry(name, seed, settings, **values):
    return Entry(name, seed, settings, {key.replace("__", "/"): value for key, value in values.items()})


def test_mean_and_standard_error_over_seeds():
    row = row_of([entry("a", seed, "s", fid__x=value) for seed, value in enumerate([1.0, 2.0, 3.0])])
    assert row.name == "a and seeds 1, 2"
    assert row.values == {"fid/x": 2.0}
    assert_close(row.errors["fid/x"], 1 / 3**0.5)


def test_a_single_run_shows_the_error_that_the_metric_states():
    row = row_of([entry("a", 0, "s", kid__x=0.5, kid_se__x=0.1, modes=8.0)])
    assert row == Row("a", {"kid/x": 0.5, "kid_se/x": 0.1, "modes": 8.0}, {"kid/x": 0.1})


def test_the_best_comes_first_whichever_way_is_up():
    near, far = entry("near", 0, "n", fid__x=1.0), entry("far", 0, "f", fid__x=9.0)
    assert [row.name for row in ranked([far, near])] == ["near", "far"]
    dim, bright = entry("dim", 0, "d", parzen=200.0), entry("bright", 0, "b", parzen=225.0)
    assert [row.name for row in ranked([dim, bright])] == ["bright", "dim"]


def test_the_table_has_the_control_on_top_and_a_blank_where_nothing_was_measured(capsys):
    entries = [entry("plain", 0, "p", fid__x=2.0), entry("asked", 0, "a", fid__x=3.0, class_accuracy__x=0.9)]
    show(entries, {"fid/x": 1.0}, "10 samples")
    words = [line.split() for line in capsys.readouterr().out.splitlines() if line.split()]
    assert words[0] == ["10", "samples,", "read", "by", "x"]
    assert words[1] == ["fid", "class_accuracy"]
    assert words[3:] == [["real", "data", "1"], ["plain", "2"], ["asked", "3", "0.9"]]


def test_columns_that_do_not_fit_go_into_another_table():
    row = Row("a" * 10, {"one": 1.0, "two": 22.0, "three": 3.0}, {})
    assert list(pages([row], ["one", "two", "three"], 10 + 2 + 8)) == [["one", "two"], ["three"]]
    assert list(pages([row], ["one", "two", "three"], 5)) == [["one"], ["two"], ["three"]]

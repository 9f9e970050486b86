"""Every mistake is answered by a sentence and by a remedy that works when pasted: all tables of tests/mistakes."""

import importlib
import pkgutil

import mistakes
import pytest
from mistakes.mistake import Answer, Mistake, faults, remedies_of
from mistakes.stage import Stage

FAST = 40
"""Rows that run each time; all of them run in the whole set."""


def tables() -> list[Mistake]:
    """The rows of every module with a TABLE."""
    modules = [importlib.import_module(f"mistakes.{found.name}") for found in pkgutil.iter_modules(mistakes.__path__)]
    return [row for module in modules for row in getattr(module, "TABLE", ())]


def spread(rows: list[Mistake]) -> list:
    """FAST rows, evenly spread over the tables, and the rest marked slow."""
    step = max(1, len(rows) // FAST)
    return [
        pytest.param(row, marks=() if n % step == 0 else pytest.mark.slow, id=row.line) for n, row in enumerate(rows)
    ]


@pytest.fixture(scope="session")
def stage(tmp_path_factory):
    return Stage(tmp_path_factory.mktemp("stage"))


@pytest.fixture
def command(ganctl):
    def run(words):
        ended = ganctl(*words)
        return Answer(ended.status, ended.out + ended.err)

    return run


@pytest.mark.parametrize("mistake", spread(tables()))
def test_a_mistake_and_its_remedies(stage, command, workplace, mistake):
    stage.lay_out(mistake, workplace, command)
    found = faults(mistake, command)
    assert not found, "\n".join(found)


def test_what_counts_as_a_remedy():
    assert remedies_of("x\n  try: n_critic=1 or more\n") == [["n_critic=1"]]
    assert remedies_of("x\n  try: a=[1,2], or b.c=3\n") == [["a=[1,2]"], ["b.c=3"]]
    assert remedies_of("x\n  try: a=1 b=2\n") == [["a=1", "b=2"]]
    assert remedies_of("x\n  try: rename the file\n") == []
    assert remedies_of("x\n  try: ganctl train 'name=a b'\n") == [["ganctl", "train", "name=a b"]]
    assert remedies_of("x\n  try: dataset.root=PATH\n") == [["dataset.root=photos"]]


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ("loss=x: no such option\n", "no line begins with"),
        ("loss=x: no such option\n  try: better luck\n", "no remedy that can be pasted"),
        ("loss=x: no such option\n  try: loss=y\n", "leads to"),
        ("Traceback\nloss=x\n  try: loss=y\n", "a traceback"),
        ("another sentence\n  try: loss=y\n", "does not say"),
    ],
)
def test_a_poor_answer_is_a_fault(said, fault):
    found = faults(Mistake("train loss=x", "no such option"), lambda words: Answer(1, said))
    assert any(fault in one for one in found)

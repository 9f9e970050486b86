"""A mistaken command line, what is said about it, and the remedies in what was said."""

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

TINY = {
    "train": ["debug=fast", "device=cpu", "device.threads=1", "steps=1", "model=mlp"],
    "sample": ["device=cpu", "device.threads=1"],
    "eval": ["device=cpu", "device.threads=1", "n=40", "metric=[critic_gap]"],
}
"""Words that make a command small, put before those of the line; a command of a remedy that lacks them gets them."""
PLACEHOLDERS = {"PATH": "photos", "FOLDER": "photos", "FILE": "photos/0.png", "DIR": "mine"}
"""What a person fills in where a remedy says so."""


@dataclass(frozen=True)
class Mistake:
    """What was typed after `ganctl`, as in a shell, and a part of the sentence that answers it.

    remedy: a part of what follows `try:`. by_hand: what helps lies outside the command line (a file to mend), so that
    there is nothing to paste. tiny: whether the words of TINY come before the line's own. runs: names of runs, of
    STAGE in stage.py, that lie below runs/. files: texts that lie in the working folder.
    """

    line: str
    says: str
    remedy: str = ""
    by_hand: bool = False
    tiny: bool = True
    runs: tuple[str, ...] = ()
    files: Mapping[str, str | bytes] = field(default_factory=dict)

    @property
    def words(self) -> list[str]:
        command, *rest = shlex.split(self.line)
        return [command, *(TINY.get(command, []) if self.tiny else []), *rest]


@dataclass
class Answer:
    """How a command ended, and everything that it said."""

    status: int
    said: str


Command = Callable[[Sequence[str]], Answer]


def faults(mistake: Mistake, command: Command) -> list[str]:
    """What is wrong with the answer to a mistake and with its remedies; none if all is as it should be."""
    answer = command(mistake.words)
    found = faults_of_answer(mistake, answer)
    if found or mistake.by_hand:
        return found
    remedies = remedies_of(answer.said)
    if not remedies:
        return [f"no remedy that can be pasted in: {answer.said}"]
    for remedy in remedies:
        ways = [command(words) for words in corrected(mistake.words, remedy, answer.said)]
        if all(way.status for way in ways):
            found.append(f"the remedy `{shlex.join(remedy)}` of: {answer.said}leads to: {ways[0].said}")
    return found


def faults_of_answer(mistake: Mistake, answer: Answer) -> list[str]:
    """An answer is one clear sentence and a line that says what to try."""
    told = answer.said.strip().splitlines()
    wrong = {
        f"ended with status {answer.status}": answer.status not in (1, 2),
        "a traceback": "Traceback" in answer.said or "Error executing job" in answer.said,
        "the configuration system's own page": "HYDRA_FULL_ERROR" in answer.said or "hydra.cc" in answer.said,
        f"does not say {mistake.says!r}": mistake.says not in answer.said,
        "no line begins with `  try: `": not any(line.startswith("  try: ") for line in told),
        f"does not try {mistake.remedy!r}": mistake.remedy not in "\n".join(tries(answer.said)),
        "did you mean what was typed": any(
            f"did you mean '{word}'" in answer.said for typed in mistake.words for word in (typed, typed.split("=")[-1])
        ),
        "the first line is longer than 300 characters": not told or len(told[0]) > 300,
    }
    return [f"{what}: {answer.said}" for what, is_so in wrong.items() if is_so]


def tries(said: str) -> list[str]:
    """What follows each `try:`."""
    return re.findall(r"^  try: (.+)$", said, re.MULTILINE)


def remedies_of(said: str) -> list[list[str]]:
    """The words of each remedy: a whole command, or settings and flags; alternatives part at a comma or an "or"."""
    found = []
    for text in tries(said):
        if text.startswith("ganctl "):
            found.append(filled(shlex.split(text)))
            continue
        for part in re.split(r",? or |, | \(", text):
            words = []
            for word in shlex.split(part):
                if not re.match(r"[+~]*[\w.@/]+=|~[\w.]+$|-", word):
                    break
                words.append(word)
            if words:
                found.append(filled(words))
    return found


def filled(words: Sequence[str]) -> list[str]:
    return [re.sub(r"\b[A-Z]{3,}\b", lambda name: PLACEHOLDERS.get(name[0], name[0]), word) for word in words]


def corrected(typed: Sequence[str], remedy: Sequence[str], said: str) -> list[list[str]]:
    """The command lines that a remedy may mean: itself; its settings instead of those of the same key; those of which
    the sentence speaks first left out."""
    if remedy[0] == "ganctl":
        command, *rest = remedy[1:]
        return [[command, *missing(command, rest), *rest]]
    keys = {key_of(word) for word in remedy}
    kept = [word for word in typed if key_of(word) not in keys]
    first = [word for word in kept if not said.startswith((word, f"'{key_of(word)}'"))]
    return [[*kept, *remedy], *([[*first, *remedy]] if first != kept else [])]


def missing(command: str, words: Sequence[str]) -> list[str]:
    """The words that keep a command small, unless it has them or only asks for help."""
    if command not in TINY or {"--help", "--cfg"} & set(words):
        return []
    keys = {key_of(word) for word in words}
    return [word for word in TINY[command] if key_of(word) not in keys]


def key_of(word: str) -> str:
    return word.lstrip("+~").partition("=")[0]

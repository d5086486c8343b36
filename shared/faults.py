"""What is wrong with a field, said in two languages. Nothing else, so that a process that reads strangers' files need
not load the web."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

Language = Literal["zh", "en"]


class Text(NamedTuple):
    """One sentence in English and in Chinese."""

    en: str
    zh: str

    def of(self, language: Language) -> str:
        return self.zh if language == "zh" else self.en


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one field. ``pointer`` is a JSON pointer into the body, or ``query:limit`` and alike."""

    pointer: str
    code: str
    message: Text

    def below(self, prefix: str) -> "Fault":
        return Fault(prefix + self.pointer, self.code, self.message)


def fault(pointer: str, code: str, en: str, zh: str) -> Fault:
    return Fault(pointer, code, Text(en, zh))

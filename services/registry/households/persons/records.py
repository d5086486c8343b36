"""A person without a household as the register holds them. Pure."""

from dataclasses import dataclass, replace

from services.registry.households.records import Author, Individual
from services.registry.households.rules import Residences, whereabouts
from shared.contracts.division import DivisionTree, Path
from shared.contracts.household import PersonEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Unattached(Individual):
    """A person who belongs to a village and to no household; ``joined_on`` says since when."""

    residences: Residences
    path: Path
    """The divisions above, of the latest state."""

    def event(self) -> PersonEvent:
        """The public state, and where the person belongs."""
        return self._event(None, self.path)


def next_version(old: Unattached, new: Unattached, author: Author) -> Unattached:
    """``new`` as the version after ``old``, recorded later."""
    return replace(new, version=old.version + 1, author=author.after(old.author.now))


def latest_path(tree: DivisionTree, residences: Residences) -> Path:
    """Where somebody belongs in the end. Raises ``NotValidThenError`` where a village is not valid then."""
    return whereabouts(tree, residences)[-1][1]

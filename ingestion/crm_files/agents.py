"""Who is meant: agents by e-mail, or by name in any case, spacing and order, or by an alias of the mapping."""

import re
import unicodedata
from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from ingestion.crm_files.mapping import Agents
from ledger.imported import ImportedPerson
from ledger.tables import User


def key_of(text: str) -> str:
    """Return a name or an e-mail as it is compared: 'TARR,  Ayla ' and 'ayla tarr' are the same person."""
    text = unicodedata.normalize("NFKC", text).casefold().strip()
    if "@" in text:
        return text
    last, comma, first = text.partition(",")
    return " ".join(re.sub(r"[.\s]+", " ", f"{first} {last}" if comma else text).split())


def displayed_name(text: str) -> str:
    """Return a name fit to be shown: 'TARR, AYLA' becomes 'Ayla Tarr', 'ayla.tarr@…' too."""
    if "@" in text:
        text = re.sub(r"[._+-]+", " ", text.partition("@")[0])
    last, comma, first = text.partition(",")
    name = " ".join((f"{first} {last}" if comma else text).split())
    return name.title() if name in (name.upper(), name.lower()) else name


class AgentDirectory:
    """The people of the ledger, found by what files call them."""

    def __init__(self, session: Session, settings: Agents) -> None:
        self._aliases = {key_of(alias): key_of(name) for alias, name in settings.aliases.items()}
        self._ids: dict[str, set[str]] = {}
        self._names: dict[str, str] = {}
        for user_id, name, email in session.execute(select(User.id, User.name, User.email)):
            self.add(user_id, name, email)

    def add(self, user_id: str, name: str, email: str | None) -> None:
        """Make a person findable."""
        for key in (key_of(name), key_of(email or "")):
            if key:
                self._ids.setdefault(key, set()).add(user_id)
        self._names[user_id] = name

    def find(self, text: str) -> str | None:
        """Return the id of the person meant; None when nobody is, or more than one."""
        key = key_of(text)
        found = self._ids.get(self._aliases.get(key, key), set())
        return next(iter(found)) if len(found) == 1 else None

    def is_ambiguous(self, text: str) -> bool:
        """Whether several people are called so."""
        key = key_of(text)
        return len(self._ids.get(self._aliases.get(key, key), ())) > 1

    def spelled_as_known(self, person: ImportedPerson) -> ImportedPerson:
        """Return a person without e-mail under the spelling that the ledger has, so that it is not made twice."""
        known = self.find(person.name) if person.email is None else None
        if known is None:
            return person
        return ImportedPerson(self._names[known], None, person.role, person.active)

    def strangers(self, texts: Iterable[str]) -> dict[str, ImportedPerson]:
        """Return, by key, the people to make for texts that nobody is found for; several spellings give one person."""
        people: dict[str, ImportedPerson] = {}
        for text in texts:
            key = self._aliases.get(key_of(text), key_of(text))
            if key not in self._ids and key not in people:
                people[key] = ImportedPerson(displayed_name(text), text.strip() if "@" in text else None)
        return people

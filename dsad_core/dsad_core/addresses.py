"""Stream addresses as people may see them."""

import re

#: What stands between ``scheme://`` and the last ``@`` of a word; a password may hold any sign, an @ of its own too.
#: Of two slashes a path keeps one. Both patterns take time linear in the text: messages may quote hostile input.
_WORD = re.compile(r"\S+")
_CREDENTIALS = re.compile(r"\b(\w+:/+).*", re.DOTALL)


def without_credentials(text: str) -> str:
    """A text with the user and password of every address in it replaced by ``***``."""
    return _WORD.sub(_masked, text) if "@" in text else text


def _masked(word: re.Match[str]) -> str:
    before, at, after = word[0].rpartition("@")
    return _CREDENTIALS.sub(r"\1***", before, count=1) + at + after

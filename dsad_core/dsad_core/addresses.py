"""Stream addresses as people may see them."""

import re

#: What stands between ``scheme://`` and ``@``; a password may hold any sign, an @ of its own too.
#: Of two slashes a path keeps one.
_CREDENTIALS = re.compile(r"(\w+:/+)\S*@")


def without_credentials(text: str) -> str:
    """A text with the user and password of every address in it replaced by ``***``."""
    return _CREDENTIALS.sub(r"\1***@", text)

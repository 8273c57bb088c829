"""Errors a user can cause. Each message is one line: what is wrong, where, and the way out."""

from dsad_core.addresses import without_credentials

#: Longest message, characters: what it quotes may be hostile input, and logs and diagnostics hold it.
LONGEST = 2000


class DsadError(Exception):
    """Base of every error that bad input, a bad file or a missing device can cause.

    Messages end in terminals, logs, diagnostics and reports, so passwords of stream addresses are left out of them, and
    the middle of one beyond `LONGEST`. Line breaks and what else cannot be printed are written as escapes: names in
    hostile files hold them.
    """

    def __init__(self, message: object = ""):
        text = without_credentials(str(message))
        if len(text) > LONGEST:
            text = f"{text[: LONGEST // 2]} … {text[3 - LONGEST // 2 :]}"
        if not text.isprintable():
            text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
        super().__init__(text)


class FrameError(DsadError):
    """A frame that lies about itself or cannot be decoded.

    Args:
        reason: short code that counters are keyed by, one of
            ``encoding``, ``size``, ``step``, ``truncated``, ``nan``, ``size_not_prepared``.
        message: one line for people.
    """

    def __init__(self, reason: str, message: str):
        super().__init__(message)
        self.reason = reason


class EngineError(DsadError):
    """An engine that is missing, tampered with, or does not fit its manifest."""


class NotFiniteError(EngineError):
    """An answer with NaN or infinite logits: it says nothing of the frame, least of all that it is empty."""


class PlatformError(DsadError):
    """A platform (cpu, cuda, agx, ascend) that this machine cannot run."""


class NotInstalledError(PlatformError):
    """Hardware, a driver or a runtime that this machine lacks; the message says how to get it."""


class UnsupportedModelError(PlatformError):
    """A model that a backend cannot take, such as for an operator or a precision; another one may."""


class BagError(DsadError):
    """A bag that is missing, corrupt, or lacks what was asked of it."""


class DataError(DsadError):
    """A data set, sequence or video that is missing or malformed."""


class UsageError(DsadError):
    """An argument or parameter outside its range."""


def one_line(error: object) -> str:
    """The reason in an error of a library, in one line; what failed is for the caller to name.

    That is the system's words for an ``OSError``, and the first fault of pydantic's list with its field.
    """
    from pydantic import ValidationError  # takes long to import, and is needed only where something failed

    if isinstance(error, ValidationError):
        faults = error.errors()
        where = "".join(f"{part}." for part in faults[0]["loc"])[:-1]
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        text = f"{where and where + ': '}{faults[0]['msg'].removeprefix('Value error, ')}{more}"
    else:
        text = getattr(error, "strerror", None) or str(error)
    return " ".join(text.split()) or type(error).__name__


def unexpected(error: BaseException) -> str:
    """An error that nobody foresaw, in one line with its type, which a bug report needs."""
    return " ".join(f"{type(error).__name__}: {error}".split())

"""Errors a user can cause. Each message is one line: what is wrong, where, and the way out."""


class DsadError(Exception):
    """Base of every error that bad input, a bad file or a missing device can cause."""


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


class UnsupportedModelError(PlatformError):
    """A model that a backend cannot take, such as for an operator or a precision; another one may."""


class BagError(DsadError):
    """A bag that is missing, corrupt, or lacks what was asked of it."""


class DataError(DsadError):
    """A data set, sequence or video that is missing or malformed."""


class UsageError(DsadError):
    """An argument or parameter outside its range."""

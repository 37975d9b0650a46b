"""The error of this adapter."""


class SourceError(ValueError):
    """A file that cannot be read as bars: the message is one line naming the file, the rule and the value."""

"""The error of the outside world, as users see it."""


class SourceError(ValueError):
    """A file or a vendor that cannot give what was asked: one line naming the thing, the rule and the value."""

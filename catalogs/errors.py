"""The error that a user sees as one line instead of a traceback."""


class InputError(ValueError):
    """Input that the user can correct: the message is one line that names the thing, the rule and the value.

    The command line prints it and exits with code 2. Nothing has been written when it is raised.
    """

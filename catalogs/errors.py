"""The one error that a user sees as a line, not as a traceback."""


class InputError(ValueError):
    """Input that the user can mend: the message is one line naming the thing, the rule and the value.

    The command line prints it and exits with code 2; nothing has been written when it is raised.
    """

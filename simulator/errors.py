"""The one error a user's own input can cause."""


class InputError(ValueError):
    """Something the user gave is wrong: a file, a key, a layer, a label.

    The message is one line that names the place, what was found and what was expected. The command line prints it and
    exits with code 2; nothing has been written by then.
    """

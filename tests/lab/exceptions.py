"""What can go wrong in the lab. Every message is one line that a person can act on."""


class LabError(Exception):
    """The lab cannot do what was asked; the message says what was seen and what to do."""


class MissingRights(LabError):
    """This machine or this user lacks something that the lab needs (rights, a kernel feature, a program)."""


class LabInUse(LabError):
    """Another process has the lab with this prefix up; `pid` says which, None while it is only just starting."""

    def __init__(self, prefix: str, pid: int | None) -> None:
        self.pid = pid
        super().__init__(
            f"the lab {prefix!r} is in use by process {pid or 'unknown'}; "
            "end that one, or choose another prefix with GATELINK_LAB_PREFIX"
        )


class CommandFailed(LabError):
    """A command in a place ended with another status than 0, or did not end in time."""


class TimedOut(LabError):
    """What was waited for did not come; the message says what was seen last."""

"""Which column of somebody's own table is the prompt, the response, the feedback; and its times."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from trueward.core.errors import TruewardError, UsageError
from trueward.data.date_formats import both_ends, find_format, parse_date
from trueward.data.readers import list_columns
from trueward.importers.channels import LOTTERY_NAMES, shortened
from trueward.importers.contract import InvalidRecord
from trueward.importers.values import parse_time, value_at

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trueward.importers.contract import UserMapping

# role -> names of columns in lower case without separators, the most telling first
KNOWN = {
    "prompt": "prompt question query usermessage userinput userquery userprompt userquestion input"
    " instruction request messages",
    "response": "response answer botresponse airesponse modelresponse llmresponse assistantresponse"
    " botmessage assistantmessage modeloutput output completion reply botreply generation generatedtext",
    "feedback": "feedback thumb thumbs vote reaction userfeedback feedbackvalue feedbacktype rating"
    " userrating stars like liked ishelpful washelpful helpful satisfaction",
    "system": "systemprompt systemmessage system",
    "response_id": "responseid messageid id",
    "prompt_id": "promptid questionid",
    "user_id": "userid user username useremail email uid",
    "session_id": "sessionid conversationid chatid threadid session conversation",
    "time": "timestamp time createdat datetime date created shownat ts",
    "model": "model modelname modelid",
    "comment": "comment comments feedbackcomment feedbacktext usercomment",
}
THUMB_COLUMNS = {  # a column of 1 where it happened
    "thumbs_up": "thumbsup upvote upvotes upvoted likes",
    "thumbs_down": "thumbsdown downvote downvotes downvoted dislike disliked dislikes",
}
NEEDED = ("prompt", "response")
WHOLE = "messages"  # a column of whole chats, the answer included
MOST_TEXTS = 10_000  # dates of an unknown format that are held
DAY_NUMBER = re.compile(r"(?:19|20)\d{6}")  # 20260131 is a day and no number of seconds


def find_columns(names: Sequence[str], mapping: UserMapping, source: str) -> dict[str, str]:
    """Return the column of each role: as mapped, else by its usual name.

    Parameters
    ----------
    names : sequence of str
        Columns of the table.
    mapping : UserMapping
        What the user mapped.
    source : str
        Name of the table, for errors.

    Returns
    -------
    dict of str to str
        Role -> path to its value.

    Raises
    ------
    UsageError
        If a mapped column does not exist.
    TruewardError
        If there is no prompt or no response, or more than one column may be the feedback.

    """
    roles = {role: paths[0] for role, paths in mapping.paths.items()}
    # the names of a lottery of asks are known in every product, and need not be there
    given = [(ours, name) for name, ours in mapping.signals.items() if name not in LOTTERY_NAMES]
    for role, path in [*roles.items(), *given]:
        if path not in names and re.split(r"[.\[]", path)[0] not in names:
            raise UsageError(
                f"{source} has no column {path!r} to read {role} from; it has {list_columns(names)}"
            )
    taken = {*roles.values(), *mapping.signals}
    plain = {name: plain_name(name) for name in names if name not in taken}
    wanted: dict[str, list[str]] = {}
    for role, usual in (KNOWN | THUMB_COLUMNS).items():
        if role in roles or role in mapping.signals.values():
            continue
        words = usual.split()
        places = sorted((words.index(p), n) for n, p in plain.items() if p in words)
        wanted[role] = [name for _, name in places]
    has_feedback = "feedback" in roles or bool(given)
    if not has_feedback:
        _one_feedback(wanted, source)
    for role, found in wanted.items():
        if found and not (has_feedback and role in {"feedback", *THUMB_COLUMNS}):
            roles[role] = found[0]
    missing = [role for role in NEEDED if role not in roles]
    if missing == ["response"] and plain_name(roles["prompt"]) == WHOLE:
        missing = []  # the last message of a chat is the response
    if missing:
        flags = " ".join(f"--map {role}=NAME" for role in missing)
        raise TruewardError(
            f"{source} has no column that is known as the {' or the '.join(missing)}; it has "
            f"{list_columns(names)}: name it by {flags}"
        )
    return roles


def _one_feedback(wanted: Mapping[str, list[str]], source: str) -> None:
    """Raise if several columns may be the feedback of users."""
    found = wanted["feedback"]
    pair = [name for role in THUMB_COLUMNS for name in wanted[role]]
    several = [*found, *pair] if found else pair if len(pair) > 2 else []
    if len(several) > 1:
        options = " or ".join(f"--map feedback={name}" for name in several)
        raise TruewardError(
            f"{source} has several columns that may be the feedback of users: choose one by {options}"
        )


def plain_name(name: str) -> str:
    """Return the name of a column in lower case without separators, as in ``KNOWN``.

    Parameters
    ----------
    name : str
        Name of a column.

    Returns
    -------
    str
        Letters and digits.

    """
    return re.sub(r"[\W_]+", "", name).lower()


def cell(value: Mapping[str, Any], path: str | None) -> Any:
    """Return the value of a column, or at a path into one; None for an empty or missing cell.

    Parameters
    ----------
    value : mapping
        A row.
    path : str or None
        Name of a column, or a path such as ``meta.user``.

    Returns
    -------
    object
        The value; NaN counts as empty.

    """
    if path is None:
        return None
    found = value[path] if path in value else value_at(value, path)
    is_nan = isinstance(found, float) and found != found  # noqa: PLR0124 - not a number
    return None if is_nan or (isinstance(found, str) and not found.strip()) else found


class Times:
    """The times of a column, in the format that the user gave or that all of them have.

    Parameters
    ----------
    name : str
        The column.
    given : str or None
        Format that the user gave.

    """

    def __init__(self, name: str, given: str | None) -> None:
        self.name, self.format = name, given
        self.texts: set[str] = set()
        self.count = self.unknown = 0
        self.sample = ""

    def add(self, value: Any) -> None:
        """Look at a cell; of texts in no known format, those that decide on it are kept.

        Parameters
        ----------
        value : object
            A cell.

        """
        self.count += 1
        if self.format is None and isinstance(value, str) and not _is_known(value):
            self.unknown += 1
            self.sample = self.sample or value
            self.texts.add(value)
            if len(self.texts) > MOST_TEXTS:
                self.texts = set(both_ends(self.texts))

    def settle(self) -> bool:
        """Choose the format; return whether there is one.

        Raises
        ------
        TruewardError
            If most texts have no known format, or day and month could be either way round.

        """
        if self.format is None and self.texts:
            self.format = find_format(both_ends(self.texts), self.name)
            if self.format is None and self.unknown > self.count / 2:
                raise TruewardError(
                    f"the dates of {self.name!r}, such as {self.sample!r}, have no known format: give it "
                    "by --dates, as --dates '%d.%m.%Y %H:%M'"
                )
        return self.format is not None

    def __call__(self, value: Any) -> datetime | None:
        """Return the time of a cell.

        Raises
        ------
        InvalidRecord
            If the cell has another format.

        """
        if isinstance(value, date) and not isinstance(value, datetime):
            return datetime(value.year, value.month, value.day, tzinfo=UTC)
        if self.format is not None and isinstance(value, str):
            time = parse_date(value, self.format)
            if time is None and not _is_known(value):
                raise InvalidRecord(
                    f"its time should be as {self.format}, and is {shortened(value)}"
                )
            if time is not None:
                return time
        return parse_time(value)


def _is_known(value: str) -> bool:
    """Whether a text is a time in ISO 8601 or a number since 1970."""
    if DAY_NUMBER.fullmatch(value.strip()):
        return False
    try:
        parse_time(value)
    except InvalidRecord:
        return False
    return True


def has_texts(names: Sequence[str]) -> bool:
    """Return whether columns are known as the prompt, the response and the feedback by their names.

    Parameters
    ----------
    names : sequence of str
        Columns of a table.

    Returns
    -------
    bool
        False if one of them must be mapped.

    """
    plain = {plain_name(name) for name in names}
    roles = (*NEEDED, "feedback", *THUMB_COLUMNS)
    known = {role: set((KNOWN | THUMB_COLUMNS)[role].split()) & plain for role in roles}
    has_response = known["response"] or WHOLE in plain
    return bool(known["prompt"] and has_response) and any(known[role] for role in roles[2:])

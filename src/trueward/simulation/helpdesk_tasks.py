"""Products and tasks of the help desk, all fictitious."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Product:
    """A product and the names of its menus.

    Attributes
    ----------
    name, home, settings : str
        Names of the product, its home page and its settings page.

    """

    name: str
    home: str
    settings: str


@dataclass(frozen=True)
class Task:
    """A task of a customer and its correct solution.

    Attributes
    ----------
    topic : str
        Name of the task.
    asks : tuple of str
        Complete "How do I ...".
    symptoms : tuple of str
        Complete "With {product}, ...".
    steps : tuple of str
        The steps of the solution, in order.
    short : tuple of str
        The solution in one sentence; alternatives.

    """

    topic: str
    asks: tuple[str, ...]
    symptoms: tuple[str, ...]
    steps: tuple[str, ...]
    short: tuple[str, ...]


PRODUCTS = (
    Product("Nimbus Drive", "Library", "Preferences"),
    Product("Parcelo", "Dispatch Board", "Account Settings"),
    Product("Ledgerly", "Overview", "Company Setup"),
    Product("Tidemark", "Planner", "Workspace Options"),
    Product("Quillbox", "Inbox", "Profile Menu"),
    Product("Fernmeet", "Lobby", "Meeting Settings"),
    Product("Stockpile", "Warehouse View", "Admin Panel"),
    Product("Brightdesk", "Home Screen", "Control Panel"),
    Product("Wayfare", "Trip List", "Traveller Settings"),
    Product("Copperline", "Call Log", "Line Settings"),
    Product("Larkform", "Form Gallery", "Project Settings"),
    Product("Mossbank", "Balance Page", "Security Centre"),
)

TASKS = (
    Task(
        "resetting a password",
        ("reset my password", "get back in after forgetting my password", "change my password"),
        ("my password is refused", "the sign-in page says my password is wrong"),
        (
            "open the {product} sign-in page and choose Forgot password",
            "enter the address of your account and send the form",
            "open the link in the message within thirty minutes; look in the spam folder too",
            "pick a new password of at least twelve characters",
            "sign out everywhere under {settings} so that old devices lose access",
        ),
        (
            "Use Forgot password on the sign-in page; the link is valid for thirty minutes.",
            "Sign-in page, Forgot password, then the link in your mail.",
        ),
    ),
    Task(
        "changing the account email",
        ("change the email on my account", "move my account to a new email address"),
        ("messages still go to my old email address", "my account email is out of date"),
        (
            "go to {settings} and open the Contact tab",
            "press Edit beside the email address and type the new one",
            "confirm the change with your current password",
            "click the link that {product} sends to the new address",
            "check that the old address is no longer listed as a backup",
        ),
        (
            "{settings}, Contact, Edit beside the email; confirm from the new address.",
            "Edit the email under Contact in {settings} and click the confirmation link.",
        ),
    ),
    Task(
        "exporting data",
        ("export all my records to a spreadsheet", "download a copy of my data as CSV"),
        ("the export comes out empty", "the CSV export stops halfway"),
        (
            "open {home} and clear every filter, since an export holds only what is listed",
            "choose Export in the top right corner",
            "select CSV and the date range you need",
            "wait for the message that says the file is ready; large exports take some minutes",
            "download the file within seven days, before it is removed",
        ),
        (
            "Clear the filters in {home}, then Export, CSV; the file arrives by mail.",
            "Export in the top right of {home}, with all filters off, gives a full CSV.",
        ),
    ),
    Task(
        "cancelling a subscription",
        ("cancel my subscription", "stop the yearly plan before it renews"),
        ("the plan renewed although I meant to stop it", "I cannot find where to cancel the plan"),
        (
            "sign in as the owner, because only owners see the plan",
            "open {settings} and then Billing",
            "choose Manage plan and press Cancel renewal",
            "answer the question about the reason and confirm",
            "keep the confirmation mail; {product} works until the paid period ends",
        ),
        (
            "As owner: {settings}, Billing, Manage plan, Cancel renewal.",
            "Cancel renewal is under Manage plan in Billing; access lasts to the end of the term.",
        ),
    ),
    Task(
        "finding an invoice",
        ("download last month's invoice", "get an invoice with our tax number on it"),
        ("the invoice lacks our tax number", "no invoice has arrived this month"),
        (
            "open Billing under {settings}",
            "enter the company name and tax number under Billing details and save",
            "scroll to Payment history and find the month",
            "press the arrow beside the amount to download the invoice as PDF",
            "add the accountant under Invoice recipients to have a copy sent every month",
        ),
        (
            "{settings}, Billing, Payment history; the arrow downloads the PDF.",
            "Save the tax number in Billing details first, then download the invoice again.",
        ),
    ),
    Task(
        "inviting a colleague",
        ("invite a colleague to our team", "add a new member to the shared workspace"),
        ("the invitation never reaches my colleague", "a new member cannot see our workspace"),
        (
            "open {home} and press Members",
            "choose Invite and enter the address of your colleague",
            "pick a role: viewer, editor or administrator",
            "send the invitation, which is valid for three days",
            "check under Pending that it was delivered, and resend it from there if not",
        ),
        (
            "Members in {home}, Invite, choose a role, send.",
            "Resend it from Pending under Members; invitations lapse after three days.",
        ),
    ),
    Task(
        "two-step sign-in",
        ("turn on two-step sign-in", "move two-step codes to a new phone"),
        ("the six-digit code is always rejected", "I lost the phone with my codes"),
        (
            "open {settings}, then Security, then Two-step sign-in",
            "prove that it is you with a backup code or the recovery mail",
            "scan the square code with an authenticator app",
            "type the six digits while they are still shown, with the phone clock on automatic",
            "print the new backup codes and keep them away from the phone",
        ),
        (
            "Security in {settings}, Two-step sign-in, scan the square with an authenticator app.",
            "Set the phone clock to automatic, then scan again under Two-step sign-in.",
        ),
    ),
    Task(
        "too many notifications",
        ("stop the daily notification mails", "get alerts only for my own items"),
        ("I receive dozens of alerts a day", "alerts keep coming although I turned them off"),
        (
            "open {settings} and choose Notifications",
            "switch the default from Everything to Mentions only",
            "open the list of watched items in {home} and unfollow what you do not need",
            "set quiet hours for the evening and the weekend",
            "save, and repeat it on the phone, which keeps a list of its own",
        ),
        (
            "{settings}, Notifications, Mentions only; do the same in the phone app.",
            "Unfollow the items in {home} and choose Mentions only under Notifications.",
        ),
    ),
    Task(
        "syncing between devices",
        ("make my laptop and phone sync again", "force a sync right now"),
        ("changes on my laptop do not show on my phone", "sync has been stuck for hours"),
        (
            "check that both devices are signed in to the same {product} account",
            "look at the small cloud in {home}: a red dot means that a file blocks the queue",
            "rename or move the blocked file and press Retry",
            "allow background data for {product} in the system settings of the phone",
            "if the dot stays, choose Rebuild index under {settings} and leave it an hour",
        ),
        (
            "Press Retry on the red cloud in {home}; a bad file name usually blocks the queue.",
            "Same account on both, background data on, then Rebuild index in {settings}.",
        ),
    ),
    Task(
        "restoring deleted items",
        ("restore something I deleted by mistake", "bring back an older version"),
        ("a whole folder has disappeared", "somebody emptied a shared folder"),
        (
            "open {home} and choose Recently removed on the left",
            "sort by date and tick what you want back",
            "press Restore, which puts each item where it was",
            "for an older version, open the item and choose History",
            "ask the owner if it was removed over thirty days ago, as the archive is for owners",
        ),
        (
            "Recently removed in {home}, tick the items, Restore; they stay thirty days.",
            "Open the item, History, and pick the version you want.",
        ),
    ),
    Task(
        "connecting a calendar",
        ("connect my calendar", "see my appointments beside my tasks"),
        ("appointments show up at the wrong hour", "my calendar is connected but stays empty"),
        (
            "open {settings} and choose Connections",
            "press Add calendar and sign in with the calendar's own account",
            "allow reading and writing when the window asks for it",
            "select which calendars {product} may show",
            "set the same time zone in both places, or appointments move by hours",
        ),
        (
            "Connections in {settings}, Add calendar, allow access, choose the calendars.",
            "Set the same time zone in {settings} and in the calendar.",
        ),
    ),
    Task(
        "a refund for a double charge",
        ("get a refund for a double charge", "dispute a charge I do not recognise"),
        ("my card was charged twice", "there is a charge I cannot explain"),
        (
            "open Billing in {settings} and compare Payment history with your statement",
            "see whether one of the two is only a reservation, which vanishes within five days",
            "choose Report a charge beside the payment that should not be there",
            "attach a picture of the statement with the card number covered",
            "expect the money on the same card within ten working days",
        ),
        (
            "Billing, Payment history, Report a charge; refunds take ten working days.",
            "Wait five days in case it is a reservation, then use Report a charge in Billing.",
        ),
    ),
    Task(
        "sharing with people outside",
        ("share a page with a client without an account", "make a public link that expires"),
        ("clients see an error when they open my link", "my public link stopped working"),
        (
            "open the item in {home} and press Share",
            "switch the link from Team to Anyone with the link",
            "set a password and an end date under Link options",
            "check in {settings} that the administrator allows links to the outside",
            "open the link in a private window to see what your client sees",
        ),
        (
            "Share, Anyone with the link, then an end date under Link options.",
            "An administrator must allow outside links in {settings}; then share again.",
        ),
    ),
    Task(
        "slow loading",
        ("make the app load faster", "speed up the start page"),
        ("every page takes half a minute to open", "the app freezes when I scroll"),
        (
            "note whether it is slow in another browser as well",
            "clear the stored data of {product} only, and sign in again",
            "turn off browser extensions one by one, starting with blockers",
            "choose Compact view in {home}, which loads fewer pictures",
            "send the report under {settings}, Diagnostics, if it is still slow",
        ),
        (
            "Clear the stored data for {product} and switch to Compact view in {home}.",
            "Try without extensions; if it is still slow, send Diagnostics from {settings}.",
        ),
    ),
)

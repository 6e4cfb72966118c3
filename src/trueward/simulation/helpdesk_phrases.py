"""Phrases of the help desk, and the kinds of answers with their probabilities."""

DEVICES = (
    "on my Android phone",
    "on a work laptop",
    "on an older tablet",
    "in Firefox",
    "in Safari",
    "in the desktop app",
    "on a shared computer",
    "from the phone app",
    "on Windows",
    "on a Mac",
)
SINCE = (
    "since yesterday",
    "since the last update",
    "for about a week",
    "since we changed plans",
    "after I moved to a new office",
    "since Monday",
    "for some days now",
    "after signing in again",
)
TEAMS = (
    "We are a team of {n}.",
    "There are {n} people on our plan.",
    "I manage {n} accounts.",
    "I run a small shop with {n} staff.",
    "It concerns {n} of us.",
    "My order number ends in {n}.",
)
TRIED = (
    "I already restarted everything.",
    "I read the help page but got lost.",
    "A colleague told me to ask here.",
    "The chat assistant did not understand me.",
    "I looked through all the menus.",
    "It used to work.",
    "I need this by Friday.",
    "This is rather urgent for us.",
    "No hurry at all.",
    "I am not very technical.",
)
OPENERS = (
    "",
    "",
    "",
    "Hi,",
    "Hello there,",
    "Good morning.",
    "Quick question:",
    "Hi team,",
    "Sorry to bother you.",
    "Hello,",
    "Hey,",
)
CLOSERS = ("", "", "", "Thanks!", "Thank you in advance.", "Any idea?", "Please help.", "Cheers")

INTROS = (
    "",
    "",
    "Happy to help.",
    "Thanks for writing in.",
    "Sure, here is how.",
    "Good question.",
    "That is easily sorted out.",
    "I am sorry for the trouble.",
    "Let me walk you through it.",
    "Here is what works for {topic}.",
    "This is about {topic} in {product}.",
)
CHECKS = (
    "",
    "You should see a green note when it has worked.",
    "It takes effect at once.",
    "Give it about five minutes before you check.",
    "If a step looks different, update the app.",
    "Nothing that you have stored is lost by this.",
)
OUTROS = (
    "",
    "",
    "Let me know how it goes.",
    "Write back if anything is unclear.",
    "Have a good day!",
    "I hope this helps.",
    "We are here if you need us.",
)
VAGUE = (
    "there are several ways to deal with {topic}, and the right one depends on your plan",
    "you may want to look around in {settings}, where most things can be changed",
    "{product} has a number of options for this",
    "it is often a matter of the right permissions",
    "sometimes it helps to sign out and sign in again",
    "in many cases the problem goes away after an update",
    "the menus of {product} have what you need, usually under {home} or {settings}",
    "our customers find different solutions for {topic}",
    "it could also be related to your network or your browser",
    "please make sure that everything is configured correctly",
    "as with any system, {topic} can have more than one cause",
)
REFUSALS = (
    "I am unable to help with {topic}.",
    "I cannot give instructions about {topic}.",
    "This is outside what I can assist with.",
    "I do not have access to {product} accounts.",
    "For security reasons I cannot comment on {topic}.",
    "I am only an assistant.",
    "Please contact the person who manages {product} for you.",
    "Unfortunately I must decline.",
    "You will have to ask somebody else about {topic}.",
    "I would rather not guess.",
)
RUDE = (
    "This is explained in the manual, as you would know had you opened it.",
    "Other customers manage {topic} without asking.",
    "I have more important tickets than this.",
    "Did you even look at {settings} before writing?",
    "It is really not that hard.",
    "Perhaps {product} is not for you.",
    "Try reading the screen for once.",
    "I am not going to explain {topic} again.",
    "That is your problem, not ours.",
    "Everybody knows how {topic} works.",
    "You could have found it in {home} in a minute.",
)

#: P(kind of answer).
SHARES = {
    "complete": 0.28,
    "terse": 0.2,
    "partial": 0.1,
    "vague": 0.12,
    "off_topic": 0.05,
    "wrong_product": 0.03,
    "truncated": 0.07,
    "refusing": 0.07,
    "rude": 0.08,
}
#: P(rating = 0, 1, 2, 3, 4 | kind of answer).
RATINGS = {
    "complete": (0.0, 0.01, 0.04, 0.25, 0.7),
    "terse": (0.0, 0.02, 0.08, 0.7, 0.2),
    "partial": (0.02, 0.18, 0.7, 0.09, 0.01),
    "vague": (0.06, 0.34, 0.54, 0.05, 0.01),
    "off_topic": (0.25, 0.65, 0.08, 0.02, 0.0),
    "wrong_product": (0.14, 0.64, 0.18, 0.04, 0.0),
    "truncated": (0.1, 0.6, 0.24, 0.05, 0.01),
    "refusing": (0.52, 0.42, 0.05, 0.01, 0.0),
    "rude": (0.76, 0.2, 0.04, 0.0, 0.0),
}

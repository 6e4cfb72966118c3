"""A tracker of accelerate's that keeps what it gets, and one that fails."""

import pytest

tracking = pytest.importorskip("accelerate.tracking", reason="trackers need the extra `track`")


class Kept(tracking.GeneralTracker):
    """Every run: its project, name, settings, points, and whether it was finished."""

    name, requires_logging_directory, runs = "kept", False, []

    def __init__(self, project, **_more):
        super().__init__()
        self.about = {"project": project, "settings": {}, "points": [], "finished": False}
        self.runs.append(self.about)

    @property
    def tracker(self):
        return self.about

    def store_init_configuration(self, values):
        self.about["settings"] = values

    def log(self, values, step=None, **_more):
        print("a tracker that prints")
        self.about["points"].append({"step": step, **values})

    def finish(self):
        self.about["finished"] = True


class Broken(Kept):
    """Fails at step 2."""

    name, runs = "broken", []

    def log(self, values, step=None, **more):
        if step == 2:
            raise ConnectionError("the server\nis gone")
        super().log(values, step=step, **more)


def numbers(lines):
    """What a tracker gets of lines: their finite numbers."""
    return [
        {k: v for k, v in line.items() if k == "step" or isinstance(v, int | float)}
        for line in lines
    ]

"""Stands in for Ray in one process, so that what runs on a cluster is tested where Ray is not installed."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np


class Reference:
    """Stands for a value in the store of the cluster."""

    def __init__(self, value):
        self.value = value


class Remote:
    """A function or class on the cluster, called at once; `deaths` calls of a function die."""

    def __init__(self, ray, target):
        self.ray, self.target = ray, target

    def options(self, **_):
        return self

    def remote(self, *given):
        if isinstance(self.target, type):
            made = self.target(*given)
            names = [n for n in dir(made) if not n.startswith("_") and callable(getattr(made, n))]
            return SimpleNamespace(**{n: Remote(self.ray, getattr(made, n)) for n in names})
        if self.ray.deaths and self.target.__name__ == "called":
            self.ray.deaths -= 1
            return Reference(self.ray.exceptions.WorkerCrashedError("a process died"))
        return Reference(self.target(*given))


class Pool:
    """Rows that go through the first actor of a pool, one batch at a time."""

    def __init__(self, ray, rows):
        self.ray, self.rows = ray, rows

    def map_batches(self, actor, fn_constructor_args, **options):
        self.ray.pools.append(options)
        self.actor = actor(*fn_constructor_args)
        return self

    def iter_batches(self, **_):
        for row in self.rows:
            batch = {k: np.array([v], dtype=object) for k, v in row.items()}
            yield {k: np.array(v, dtype=object) for k, v in self.actor(batch).items()}


def install(monkeypatch, **resources):
    """Put the stand-in in place of Ray; it has two processors."""
    ray, data, worker = ModuleType("ray"), ModuleType("ray.data"), ModuleType("ray._private.worker")
    ray.deaths, ray.pools, ray.begun = 0, [], []
    ray.exceptions = SimpleNamespace(
        WorkerCrashedError=type("WorkerCrashedError", (Exception,), {"__module__": "ray"}),
        OutOfMemoryError=type("OutOfMemoryError", (Exception,), {"__module__": "ray"}),
    )

    def get(reference):
        value = reference.value if isinstance(reference, Reference) else reference
        if isinstance(value, Exception):
            raise value
        return value

    def init(**given):
        ray.begun.append(given)

    ray.get, ray.put, ray.init = get, Reference, init
    ray.wait = lambda waiting: (waiting[:1], waiting[1:])
    ray.remote = lambda target: Remote(ray, target)
    ray.is_initialized = lambda: len(ray.begun) > 0
    ray.shutdown = ray.begun.clear
    ray.cluster_resources = lambda: {"CPU": 2.0, **resources}
    data.DataContext = SimpleNamespace(get_current=SimpleNamespace)
    data.ActorPoolStrategy = dict
    data.Dataset = Pool
    data.from_items = lambda rows, **_: Pool(ray, rows)
    for module in (ray, data, worker):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return ray

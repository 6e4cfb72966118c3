"""Public names are documented in full, by the rules of numpydoc, and their examples run."""

import dataclasses
import doctest
import importlib
import inspect
import pkgutil

import pytest
from numpydoc.docscrape import FunctionDoc, NumpyDocString

import trueward as tw
from trueward import plugin
from trueward.core.wording import flags_in_messages

# "PUBLIC" objects by the module that defines them
PUBLIC = {f"trueward.{n}": getattr(tw, n) for n in tw.__all__}
FUNCTIONS = {n: f for n, f in PUBLIC.items() if inspect.isfunction(f)}
CLASSES = {n: c for n, c in PUBLIC.items() if inspect.isclass(c) and not issubclass(c, Exception)}


def section(text, name):
    """Names of the entries of a section, with those of joint entries one by one."""
    entries = NumpyDocString(inspect.cleandoc(text))[name]
    return [part.strip().lstrip("*") for e in entries for part in e.name.split(",")]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_public_function_documents_its_parameters_result_and_an_example(name):
    function = FUNCTIONS[name]
    doc = FunctionDoc(function)
    assert doc["Summary"], "no summary"
    assert section(function.__doc__, "Parameters") == list(inspect.signature(function).parameters)
    if inspect.signature(function).return_annotation not in (None, "None"):
        assert doc["Returns"], "what is returned is not documented"
    assert doc["Examples"], "no example"


@pytest.mark.parametrize("name", CLASSES)
def test_a_public_class_documents_its_fields_and_methods(name):
    cls = CLASSES[name]
    doc = NumpyDocString(inspect.cleandoc(cls.__doc__))
    assert doc["Summary"], "no summary"
    if dataclasses.is_dataclass(cls):
        source = inspect.getsource(cls)
        listed = {*section(cls.__doc__, "Attributes"), *section(cls.__doc__, "Parameters")}
        for f in dataclasses.fields(cls):
            annotated = "Opt(" in source or "#:" in source
            assert f.name in listed or annotated, f"the field {f.name} is not documented"
    for attribute, member in vars(cls).items():
        if not attribute.startswith("_") and callable(member):
            assert inspect.getdoc(member), f"{attribute} has no docstring"


@pytest.mark.parametrize("name", plugin.__all__)
def test_a_name_for_authors_of_methods_has_a_docstring(name):
    thing = getattr(plugin, name)
    if getattr(thing, "__module__", "").startswith("trueward."):
        assert inspect.getdoc(thing)


def modules():
    for module in pkgutil.walk_packages(tw.__path__, "trueward."):
        if not module.name.endswith("__main__") and ".shipped" not in module.name:
            yield module.name


def imported(name):
    """A module; those that are Inspect's tasks and models are skipped where Inspect is absent."""
    if name.startswith("trueward.rlhf.safety.inspect_"):
        pytest.importorskip("inspect_ai", reason="the extra `safety` is not installed")
    return importlib.import_module(name)


@pytest.mark.parametrize("name", list(modules()))
def test_every_module_and_every_function_without_underscore_has_a_docstring(name):
    module = imported(name)
    assert (module.__doc__ or "").strip()
    for key, value in vars(module).items():
        own = getattr(value, "__module__", "") == name and not key.startswith("_")
        if own and (inspect.isfunction(value) or inspect.isclass(value)):
            assert (value.__doc__ or "").strip(), key


@pytest.mark.parametrize("name", [n for n in modules() if ".estimators." not in n])
def test_examples_in_docstrings_run(name):
    with flags_in_messages(flags=False):  # as in Python
        failed, _ = doctest.testmod(imported(name))
    assert not failed

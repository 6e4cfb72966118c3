"""A chat template of a hostile model takes neither all memory nor for ever; others give what they gave."""

import time
from pathlib import Path

import pytest

from trueward.core.errors import TruewardError
from trueward.features.transformers.prompt_rendering import PromptRendering

transformers = pytest.importorskip("transformers", reason="language models need the extra `text`")


@pytest.fixture(scope="module")
def tokenizer():
    from helpers import tiny

    return tiny.tokenizer("llama")


def rendered(tokenizer, template, prompt="how do i", response="run git"):
    tokenizer.chat_template = template
    return PromptRendering(tokenizer, "chat", 64).texts([prompt], [response])[0]


TEN = "{% for a in range(99999) %}"
HOSTILE = {
    "multiplied text": "{{ 'x' * 10 ** 10 }}",
    "multiplied by a text": "{{ 10 ** 10 * 'x' }}",
    "multiplied list": "{{ ([0] * 10 ** 10) | length }}",
    "multiplied message": "{{ messages[0].content * 999999999 }}",
    "power": "{{ 10 ** (10 ** 10) }}",
    "power of a power": "{% set a = 9 ** 99999 %}{{ a ** 99999 }}",
    "wide format": "{{ '%10000000000d' % 1 }}",
    "wide format by an argument": "{{ '%*d' % (10000000000, 1) }}",
    "wide format method": "{{ '{:>10000000000}'.format(1) }}",
    "wide format filter": "{{ '%10000000000d' | format(1) }}",
    "padded": "{{ 'x'.ljust(10 ** 10) }}",
    "centred": "{{ 'x' | center(10 ** 10) }}",
    "indented": "{{ ('x\\n' * 9999) | indent(99999) }}",
    "batched": "{{ [1] | batch(10 ** 10, 0) | list }}",
    "replaced": "{% set s = 'x' * 99999 %}{{ s.replace('x', s) }}",
    "replaced by the filter": "{% set s = 'x' * 99999 %}{{ s | replace('x', s) }}",
    "translated": "{% set s = 'x' * 99999 %}{{ s.translate({120: s}) }}",
    "joined": "{% set s = 'x' * 99999 %}{{ s.join(s) }}",
    "nested loops": f"{TEN}{TEN}{TEN}{{% endfor %}}{{% endfor %}}{{% endfor %}}",
    "printing loops": f"{TEN}{TEN}x{{% endfor %}}{{% endfor %}}",
    "long plain text in loops": f"{TEN}{'x' * 5000}{{% endfor %}}",
    "printed text in loops": "{% set s = 'x' * 99999 %}" + TEN + "{{ s }}{% endfor %}",
    "doubled by ~": "{% set n = namespace(s='xx') %}"
    + TEN
    + "{% set n.s = n.s ~ n.s %}{% endfor %}",
    "doubled by +": "{% set n = namespace(s='xx') %}"
    + TEN
    + "{% set n.s = n.s + n.s %}{% endfor %}",
    "doubled lists": "{% set n = namespace(s=['x']) %}"
    "{% for a in range(60) %}{% set n.s = [n.s, n.s] %}{% endfor %}{{ n.s }}",
    "doubled in a block": "{% set a = 'xxxxxxxx' %}"
    + "".join(
        "{% set b %}{{ a }}{{ a }}{{ a }}{{ a }}{% endset %}{% set a = b %}" for _ in range(20)
    )
    + "{{ a }}",
    "a macro that calls itself twice": "{% macro f(n) %}{{ f(n - 1) if n }}{{ f(n - 1) if n }}{% endmacro %}"
    "{{ f(200) }}",
    "a macro without end": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "many wide texts": "{{ (['x'] * 900000) | map('center', 99999) | join }}",
    "many wide texts in a list": "{% set n = namespace(l=[]) %}"
    + TEN
    + "{% set n.l = n.l + ['x' | center(99999)] %}{% endfor %}",
    "many numbers": "{% set n = namespace(l=[]) %}"
    + TEN
    + "{% set n.l = [n.l, [0] * 9999999] %}{% endfor %}",
    "lorem ipsum": "{{ lipsum(n=99999) }}",
    "files": "{% include '/etc/passwd' %}",
    "attributes of Python": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "no such index": "{{ messages[7].content.x.y }}",
    "division": "{{ 1 // 0 }}",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_template_is_one_sentence(tokenizer, name):
    start = time.process_time()
    with pytest.raises(TruewardError, match="the model's chat template should accept"):
        rendered(tokenizer, HOSTILE[name])
    assert time.process_time() - start < 10


USUAL = {
    "whitespace": "  {% if true %}\n a{{ '\\n' }}\n{% endif %}\n{%- for m in messages -%} {{ m.role }} "
    "{% endfor %}\n",
    "loop": "{% for m in messages %}{{ loop.index0 % 2 }}{{ loop.last }}{{ loop.length }}"
    "{{ m.content | trim }}{{ loop.previtem.role if loop.previtem }}{% endfor %}",
    "reversed": "{% for m in messages[::-1] recursive %}{{ m['role'] + ': ' ~ m.content ~ 1 }}{% endfor %}",
    "namespace": "{% set ns = namespace(n=0) %}{% for m in messages if m.role == 'user' %}"
    "{% set ns.n = ns.n + 1 %}{% else %}none{% endfor %}{{ ns.n }}",
    "json": "{{ messages | tojson(indent=2) }}{{ messages | map(attribute='role') | join(', ') }}",
    "methods": "{{ messages[0].content.split('d')[-1].upper().replace('O', '0') }}{{ '%s-%d' % ('a', 3) }}"
    "{{ '{}{:>4}'.format('a', 3) }}{{ '-' * 20 }}{{ 2 ** 8 }}{{ messages[1].content | length }}",
    "macro": "{% macro f(m, n=3) %}<{{ m.role }}{{ caller() if caller }}>{{ n }}{% endmacro %}"
    "{{ f(messages[0]) }}{% call f(messages[1]) %}x{% endcall %}",
    "break": "{% for m in messages %}{{ m.content }}{% break %}{% endfor %}{{ bos_token }}{{ date_string }}",
    "filters": "{{ messages[1].content | replace('git', 'x') | indent(4) | center(40) | wordwrap(10) }}",
    "formats of texts": "{{ ('Question: ' * 5 ~ '%s') % messages[0].content }}"
    "{{ 'a{}b'.format(messages[0]) }}",
    "generation": "{% generation %}{{ messages[1].content }}{% endgeneration %}",
}


@pytest.mark.parametrize("name", USUAL)
def test_a_usual_template_gives_what_transformers_gives(tokenizer, name):
    found = rendered(tokenizer, USUAL[name])
    chat = [{"role": "user", "content": "how do i"}, {"role": "assistant", "content": "run git"}]
    alone = tokenizer.apply_chat_template(
        [chat], tokenize=False, add_generation_prompt=False, date_string="26 Jul 2024"
    )
    assert found == alone[0]
    assert found


def test_long_texts_are_within_the_bounds(tokenizer):
    text = "word " * 1_000_000
    template = (
        "{% for m in messages %}{{ m.content | trim }}{{ m.content.replace('word', 'w') }}"
        "{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>' }}{{ 'The question: %s' % m.content }}"
        "{% endfor %}"
    )
    assert len(rendered(tokenizer, template, text, text)) > 10_000_000


def test_a_template_is_bounded_wherever_it_is_rendered():
    """Only one function of the library renders chats."""
    import trueward

    root = Path(trueward.__file__).parent
    found = {p.name for p in root.rglob("*.py") if "apply_chat_template(" in p.read_text("utf-8")}
    assert found == {"prompt_rendering.py"}

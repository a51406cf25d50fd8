from __future__ import annotations

import pytest

from rubrics import Binary, Numeric, Rubric, RubricError
from rubrics.importers import read

SHARED = """\
# yaml-language-server: $schema=https://promptfoo.dev/config-schema.json
description: Cancelling
prompts: ['Answer: {{question}}']
providers: [openai:gpt-5-mini]
defaultTest:
  options: {provider: openai:gpt-5}
  assert:
    - {type: llm-rubric, value: Is calm and short, metric: tone}
    - {type: llm-rubric, value: Cites the policy, threshold: 0.8, weight: 2, provider: openai:gpt-5}
tests:
  - description: by mail
    vars: {question: How do I cancel by mail?}
    metadata: {split: golden}
  - vars: {question: 'Can I cancel?', n: 2}
    assert:
      - {type: contains, value: 'yes'}
"""
OWN = """\
prompts: [file://a.txt]
defaultTest:
  assert:
    - {type: llm-rubric, value: 'Answers "{{question}}" and says {{ reason | upper }}'}
tests:
  - vars: {question: How?}
    assert:
      - type: assert-set
        metric: safety
        weight: 3
        threshold: 0.5
        assert:
          - {type: llm-rubric, value: Is harmless, weight: 2}
          - {type: llm-rubric, value: Is silly, weight: 0}
          - {type: llm-rubric, value: 'file://rubric.txt'}
          - {type: not-llm-rubric, value: Is rude}
  - vars: {question: [a, b]}
  - file://more.yaml
"""


def test_tests_that_ask_the_same_share_a_rubric() -> None:
    found = read(SHARED, source="promptfooconfig.yaml")
    (rubric,) = found.rubrics
    tone, cites = rubric.leaves
    assert (rubric.name, rubric.description) == ("promptfooconfig", "Cancelling")
    assert isinstance(tone, Binary)
    assert (tone.id, tone.question, tone.required, tone.weight) == ("tone", "Is calm and short", "yes", 1.0)
    assert isinstance(cites, Numeric)
    assert (cites.id, cites.minimum, cites.maximum, cites.required, cites.weight) == ("cites_the_policy", 0, 1, 0.8, 2)
    assert found.items == (
        {
            "id": "test-1",
            "input": "Answer: How do I cancel by mail?",
            "metadata": {"description": "by mail", "vars": {"question": "How do I cancel by mail?"}, "split": "golden"},
        },
        {"id": "test-2", "input": "Answer: Can I cancel?", "metadata": {"vars": {"question": "Can I cancel?", "n": 2}}},
    )
    assert found.losses == (
        "left out: providers (promptfooconfig.yaml)",
        "left out: options.provider (defaultTest)",
        "left out: provider (test-1, test-2)",
        "left out: contains, which is no llm-rubric (test-2)",
    )


def test_a_test_that_asks_something_else_has_a_rubric_of_its_own() -> None:
    found = read(OWN, source="c.yaml")
    first, second = (Rubric.parse(item["rubric"]) for item in found.items)
    assert found.rubrics == ()
    assert first.criteria[0].question == 'Answers "How?" and says [reason | upper]'
    (safety,) = first.sections
    assert (safety.id, safety.weight) == ("safety", 3.0)
    assert [(criterion.question, criterion.weight) for criterion in safety.criteria] == [("Is harmless", 2.0)]
    assert [criterion.question for criterion in second.leaves] == ['Answers "[question]" and says [reason | upper]']
    assert "input" not in found.items[0]
    assert found.losses == (
        "left out: file://more.yaml, another file (test-3)",
        "left out: the input of items, as not one prompt alone stands here (prompts)",
        "changed: {{ reason | upper }} becomes [reason | upper] (test-1, test-2)",
        "left out: weight 0, which counts for nothing (test-1)",
        "left out: an llm-rubric whose text is file://rubric.txt (test-1)",
        "left out: not-llm-rubric, which is no llm-rubric (test-1)",
        "left out: the threshold of an assert-set (test-1)",
        "changed: {{question}} becomes [question] (test-2)",
    )


def test_a_blank_text_is_told_and_the_rest_is_there() -> None:
    text = SHARED.replace("tests:", "    - {type: llm-rubric, value: ' '}\ntests:")
    found = read(text, source="promptfooconfig.yaml")
    assert found.rubrics == read(SHARED, source="promptfooconfig.yaml").rubrics
    assert "left out: an llm-rubric whose text is blank (test-1, test-2)" in found.losses


def test_a_prompt_of_messages_is_a_chat() -> None:
    prompt = '[{"role": "system", "content": "Be kind."}, {"role": "user", "content": "{{question}}"}]'
    text = SHARED.replace("'Answer: {{question}}'", repr(prompt)).replace("Can I cancel?", 'Say "hi".')
    assert read(text).items[1]["input"] == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": 'Say "hi".'},
    ]


@pytest.mark.parametrize(
    ("prompts", "made"),
    [("['{{question}}']", "Can I cancel?"), ("Say it", "Say it"), ("prompt.txt", None), ("[a b, c d]", None)],
)
def test_the_input_is_the_only_prompt_that_stands_in_the_file(prompts: str, made: str | None) -> None:
    text = SHARED.replace("['Answer: {{question}}']", prompts).replace(
        "assert:\n", "metadata: {by: us}\n  assert:\n", 1
    )
    item = read(text).items[1]
    assert item.get("input") == made
    assert item["metadata"]["by"] == "us"


def test_without_tests_the_default_test_is_a_rubric() -> None:
    found = read(SHARED[: SHARED.index("tests:")], source="c.yaml")
    assert [criterion.id for criterion in found.rubrics[0].leaves] == ["tone", "cites_the_policy"]
    assert found.items == ()


def test_a_test_without_an_llm_rubric_is_left_out() -> None:
    tests = "[{assert: [{type: llm-rubric, value: Is kind}]}, {assert: [{$ref: '#/x'}]}, {path: g.py}]"
    found = read(f"prompts: ['a {{{{b}}}}']\ntests: {tests}", "promptfoo")
    assert [item["id"] for item in found.items] == ["test-1"]
    assert found.losses == (
        "left out: g.py, another file (test-3)",
        "changed: {{b}} becomes [b] (prompts)",
        "left out: $ref (test-2)",
        "left out: $ref, which is no llm-rubric (test-2)",
        "left out: no llm-rubric, so there is nothing to ask (test-2)",
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("prompts: [a]\ntests: tests.csv", "c.yaml: no llm-rubric to ask; write at least one"),
        (SHARED.replace("weight: 2", "weight: -2"), "c.yaml: defaultTest.assert[1].weight: input should be greater"),
        (SHARED.replace("threshold: 0.8", "threshold: 8"), "c.yaml: test-1: criteria[1].required: 8.0 is not on the"),
        ("prompts: [a\ntests: [", "c.yaml:2: not YAML"),
    ],
)
def test_a_configuration_that_asks_nothing_is_refused(text: str, expected: str) -> None:
    with pytest.raises(RubricError) as caught:
        read(text, source="c.yaml")
    assert str(caught.value).startswith(expected)

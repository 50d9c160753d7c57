"""The chat templates that a recipe can name.  Jinja, as transformers renders it.

Each renders conversations as mergekit's template of that name does.
"""

from __future__ import annotations

from collections.abc import Mapping

LONGEST_NAME = 256
SHORTEST_TEXT = 20  # mergekit takes anything shorter for a misspelt name

BUILT_IN: Mapping[str, str] = {
    "chatml": """\
{%- for turn in messages -%}
    {{ '<|im_start|>' ~ turn['role'] ~ '\\n' ~ turn['content'] ~ '<|im_end|>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{ '<|im_start|>assistant\\n' }}
{%- endif -%}
""",
    "llama3": """\
{%- for turn in messages -%}
    {{ bos_token if loop.first else '' }}
    {{- '<|start_header_id|>' ~ turn['role'] ~ '<|end_header_id|>\\n\\n' }}
    {{- (turn['content'] | trim) ~ '<|eot_id|>' ~ '\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif -%}
""",
    "mistral": """\
{%- set has_system = messages[0]['role'] == 'system' -%}
{{ bos_token }}
{%- for turn in (messages[1:] if has_system else messages) -%}
    {%- set wanted = 'user' if loop.index is odd else 'assistant' -%}
    {%- if (turn['role'] == 'user') != (wanted == 'user') -%}
        {{ raise_exception('user and assistant must take turns, after at most one system message') }}
    {%- elif turn['role'] == 'user' -%}
        {%- set before = messages[0]['content'] ~ '\n\n' if has_system and loop.first else '' -%}
        {{ ' [INST] ' ~ before ~ turn['content'] ~ ' [/INST]' }}
    {%- elif turn['role'] == 'assistant' -%}
        {{ ' ' ~ turn['content'] ~ eos_token }}
    {%- else -%}
        {{ raise_exception('only user, assistant and one leading system message are known') }}
    {%- endif -%}
{%- endfor -%}
""",
    "alpaca": """\
{%- set heads = {'user': 'Instruction', 'assistant': 'Response', 'user_context': 'Input'} -%}
{%- set told = namespace(system='') -%}
{%- for turn in messages if turn['role'] == 'system' -%}
    {%- set told.system = turn['content'] | trim -%}
{%- endfor -%}
{{ told.system ~ '\n\n' }}
{%- for turn in messages -%}
    {%- if turn['role'] in heads -%}
        {{ '### ' ~ heads[turn['role']] ~ ':\n' ~ (turn['content'] | trim) ~ ('' if loop.last else '\n\n') }}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt and messages[-1]['role'] != 'assistant' -%}
    {{ '### Response:\n' }}
{%- endif -%}
""",
    # The spaces are mergekit's: EXAONE's own template has none of them.
    "exaone": """\
{%- for turn in messages -%}
    {{ '        [|system|][|endofturn|]\n\n' if loop.first and turn['role'] != 'system' else '' }}
    {{- '    [|' ~ turn['role'] ~ '|]' ~ turn['content'] ~ '\n        ' }}
    {{- '\n\n' if turn['role'] == 'user' else '[|endofturn|]\n\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{ '    [|assistant|]\n' }}
{%- endif -%}
""",
}


def built_in_name(template: str) -> str | None:
    """Returns the name of a template, None where it is none of these."""
    return next((name for name, text in BUILT_IN.items() if text == template), None)

"""Tiny tokenizers with chat templates in the style of well-known model families."""

from __future__ import annotations

from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from tests.tiny_models import WORDS

LLAMA3 = """\
{%- for message in messages -%}
{{- (bos_token if loop.first else '') + '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'
    + message['content'] | trim + '<|eot_id|>' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' -}}{%- endif -%}
"""
QWEN3 = """\
{%- for message in messages -%}
{{- '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\n' -}}
{%- if enable_thinking is defined and enable_thinking is false -%}
{{- '<think>\n\n</think>\n\n' -}}
{%- endif -%}
{%- endif -%}
"""
GEMMA = """\
{{- bos_token -}}
{%- if messages[0]['role'] == 'system' -%}{{- raise_exception('System role not supported') -}}{%- endif -%}
{%- for message in messages -%}
{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
{{- raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') -}}
{%- endif -%}
{%- set role = 'model' if message['role'] == 'assistant' else message['role'] -%}
{{- '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<start_of_turn>model\n' -}}{%- endif -%}
"""
TEMPLATES = {"llama3": LLAMA3, "qwen3": QWEN3, "gemma": GEMMA}
_MARKS = {
    "llama3": ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    "qwen3": ("<|im_start|>", "<|im_end|>", "<think>", "</think>"),
    "gemma": ("<start_of_turn>", "<end_of_turn>"),
}
_ENDS = {"llama3": "<|eot_id|>", "qwen3": "<|im_end|>", "gemma": "</s>"}


def chat_tokenizer(family: str) -> PreTrainedTokenizerFast:
    """Returns a tokenizer of whole words; Llama's and Gemma's begin every text with `<s>` themselves.

    The vocabulary is that of the tiny models: the last words are spelt as the family's marks.
    """
    marks = _MARKS[family]
    words = [*WORDS[: len(WORDS) - len(marks) - 3], *marks, "user", "assistant", "system"]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens([mark for mark in marks if "think" not in mark])
    tokenizer.add_tokens([mark for mark in marks if "think" in mark])
    begins = family != "qwen3"
    if begins:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", 1)]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<s>" if begins else None,
        eos_token=_ENDS[family],
        unk_token="<unk>",
        chat_template=TEMPLATES[family],
    )

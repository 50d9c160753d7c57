"""Rules for single tokens, in every form that mergekit knows."""

TOKEN_RULES = """\
tokenizer:
  source: union
  tokens:
    <|im_start|>: {source: {kind: zero}}
    <|im_end|>: {source: {kind: model_token, model: a, token: </s>}, force: true}
    <pad>: {source: {kind: model_token, model: a, token_id: 7}}
    <eot>: {source: a}
  pad_to_multiple_of: 8
"""

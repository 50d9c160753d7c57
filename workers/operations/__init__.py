"""Operations that turn checkpoints into a checkpoint, which can then be a parent.

They run as jobs; see `workers/protocol/transform_orders.py` for what can be asked.
"""

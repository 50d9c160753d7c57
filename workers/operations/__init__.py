"""Operations that turn checkpoints into a checkpoint, which can then be a parent.

They run as errands; see `workers/transform_orders.py` for what can be asked.
"""

"""What there is beside experiments: keys, tasks, methods, models, workers."""

"""The whole way on real models, `python -m benchmarks.real FOLDER`; its parts are a module each."""

"""Completions from vLLM, on this card or on a server, of adapters that are handed over as files.

Nothing is ever merged into a base. Written for vllm 0.31 and never run with it: the tests stand in for it.
"""

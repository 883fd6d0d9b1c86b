"""Verified tasks, kept as references for proposers and for replay."""

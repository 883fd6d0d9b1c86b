"""The pool: verified tasks, kept as references for proposers and for replay."""

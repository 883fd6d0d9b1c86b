"""`python -m tinyzero` is `tinyzero`."""

from tinyzero.cli import main

main()

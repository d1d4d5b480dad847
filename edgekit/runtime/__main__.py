"""`python3 -m edgekit_runtime VERB` on a device; see agent.py."""

from .agent import main

main()

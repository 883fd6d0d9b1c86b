"""How good a policy is: held-out tasks, measured before and after."""

"""Learning: turns rollouts into optimizer steps on LoRA weights."""

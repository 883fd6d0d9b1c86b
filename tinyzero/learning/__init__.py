"""From rollouts to one optimizer step on LoRA weights."""

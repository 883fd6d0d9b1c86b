"""The policy: one frozen base model wearing LoRA adapters. Torch starts at this floor."""

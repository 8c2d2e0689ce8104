"""LoRA adapters, and merging them into their base."""

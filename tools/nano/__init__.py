"""What `tools/pretrain_nano.py` is made of: programs, examples, tokenizer, training, exam, card."""

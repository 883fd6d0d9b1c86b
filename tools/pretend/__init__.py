"""A card that is not there: code for CUDA takes its CUDA path on CPU tensors, with real numbers.

Tensors stay where they are; their storages are labelled as being on the card. `functions` answers what Python
asks about devices, `operators` refuses or counts what a card would, `recording` is CUDA graphs, `stand_ins`
replaces `torch.cuda`. bitsandbytes' CPU kernels compute 4-bit products and 8-bit AdamW.
"""

"""The three networks of the paper at any width, and the attention modules in them."""

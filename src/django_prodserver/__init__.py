"""Name your Django processes once; one command becomes any of them."""

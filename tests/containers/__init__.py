"""The image, tested in real containers; ``harness`` says how."""

"""What a request means: one use case each, called by every surface and by the commands."""

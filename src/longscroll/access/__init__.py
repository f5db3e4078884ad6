"""Who may call: keys and workspaces."""

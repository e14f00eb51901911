"""What we remember: intent and history. Never the only copy of what exists."""

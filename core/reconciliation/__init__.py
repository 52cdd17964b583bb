"""What an operator's own report says, beside what our books say: matched, theirs only, ours only, or different."""

"""What a person reads of a study: its overlaid curves, its tables, its report."""

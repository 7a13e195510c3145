"""What a person reads of trainings: curves, verdicts, figures, reports in one file."""

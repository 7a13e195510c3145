"""Training: epochs of updates, each followed by validation; the best epoch's weights are kept."""

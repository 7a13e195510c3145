"""The evaluation report of a model version: figures, intervals, confusions, mistakes and calibration of each split."""

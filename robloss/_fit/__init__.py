"""The estimators and the loop they share."""

"""The probability distribution that belongs to the loss, one family of functions per module."""

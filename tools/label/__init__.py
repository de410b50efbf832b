"""What is printed of a board: labels, sheets of labels, the commissioning sheet; and the record of what was done."""

from tools.label.label import write_label

__all__ = ["write_label"]

"""Labels by a detector or SAM, their agreement with human labels, and the review page."""

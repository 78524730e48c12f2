"""Reading every image and label once, in parallel, remembered between runs."""

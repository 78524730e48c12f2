"""From a folder to splits, images and labels."""

"""The Ultralytics family: the only home of ultralytics, torch and albumentations beside ``autolabel``."""

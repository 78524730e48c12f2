"""Labels of other formats: COCO, Pascal VOC, CVAT, Label Studio, labelme, Supervisely, NDJSON and DOTA."""

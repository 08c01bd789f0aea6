"""Data sets by name, and your own from arrays, folders of images and CSV files."""

from jaxcf.data.catalogue import available, load
from jaxcf.data.dataset import Dataset, from_arrays
from jaxcf.data.labelled_tables import LabelledTable, read_adult, read_table, split_label
from jaxcf.data.readers import image_folder, read_csv
from jaxcf.data.splitting import stratified_split

__all__ = [
    "Dataset",
    "LabelledTable",
    "available",
    "from_arrays",
    "image_folder",
    "load",
    "read_adult",
    "read_csv",
    "read_table",
    "split_label",
    "stratified_split",
]

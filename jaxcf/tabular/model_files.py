"""Models of other libraries from a file: whatever has `predict_proba`, as a black box.

Such files are pickles: loading one runs code that it holds. Nothing here is called unless the user
has said that the file is to be trusted.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxcf.blackbox import BlackBox
from jaxcf.tabular.models import Takes
from jaxcf.tabular.schema import Schema
from jaxcf.tabular.tables import Table


class LoadedModel(NamedTuple):
    """A model as a black box, and the names of its classes.

    Attributes:
        box: of the table or of the encoded table.
        class_names: in the order of the probabilities.
    """

    box: BlackBox
    class_names: tuple[str, ...]


def load_trusted_model(path: str | Path, sample: Table) -> LoadedModel:
    """Load a model that joblib or pickle wrote. THIS RUNS CODE FROM THE FILE.

    Args:
        path: the file; load only what you trust.
        sample: a few rows, as the model takes them, to find out how many classes it has.

    Returns:
        The model.

    Raises:
        FileNotFoundError: if there is no such file.
        TypeError: if what the file holds has no `predict_proba`.
        ValueError: if the file can't be loaded, or the model fails for the sample.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise FileNotFoundError(f"there is no model file {file}; correct the path")
    import joblib

    try:
        model: Any = joblib.load(file)
    except Exception as error:  # a pickle may raise whatever the classes in it raise
        raise ValueError(
            f"{file} can't be loaded ({type(error).__name__}: {error}); expected a model written "
            "by joblib.dump or pickle, with the libraries it needs installed"
        ) from error
    if not callable(getattr(model, "predict_proba", None)):
        raise TypeError(
            f"{file} holds a {type(model).__name__}, which has no predict_proba; expected a "
            "classifier that gives probabilities"
        )
    try:
        probabilities = np.asarray(model.predict_proba(sample))
    except Exception as error:
        raise ValueError(
            f"the model in {file} fails for the first rows ({type(error).__name__}: {error}); does "
            "it take the columns of the table (--model-takes table) or the encoded table "
            "(--model-takes input)?"
        ) from error
    if probabilities.ndim != 2 or probabilities.shape[1] < 2:
        raise ValueError(
            f"the model in {file} gives probabilities of shape {probabilities.shape}; expected "
            "[rows, classes] with two classes or more"
        )
    num_classes = probabilities.shape[1]
    names = tuple(str(one) for one in getattr(model, "classes_", range(num_classes)))
    return LoadedModel(BlackBox(model.predict_proba, num_classes), names)


def model_rows(columns: dict[str, np.ndarray], schema: Schema, takes: Takes) -> Any:
    """Rows as a model from a file takes them.

    Args:
        columns: of the table.
        schema: of the table.
        takes: "table" for a DataFrame of the columns, "input" for the encoded table.

    Raises:
        ImportError: if a DataFrame is wanted and pandas isn't installed.
    """
    if takes == "input":
        return schema.encode(schema.read(columns))
    return as_frame(columns)


def as_frame(columns: dict[str, np.ndarray]) -> Any:
    """The columns as a pandas DataFrame.

    Raises:
        ImportError: if pandas isn't installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise ImportError(
            "--model-takes table hands the model a DataFrame, which needs pandas, an extra: "
            "pip install 'jaxcf[pandas]'; or train the model on the encoded table"
        ) from error
    return pandas.DataFrame(columns)

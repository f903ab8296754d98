"""neurograph: neural networks as graphs of objects, trained at matrix speed.

Every public name can be had from here, ``import neurograph as ng``; each is imported when first
used, so that ``import neurograph`` costs next to nothing.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES: dict[str, str] = {
    "errors": "NeurographError GraphError ShapeError DataError OptionError UnknownNameError "
    "FormatError StorageError MissingDependencyError CompileError",
    "functions": "register_activation get_activation",
    "parameter": "Parameter",
    "graph.node": "Node InputNode ConstNode",
    "graph.connection": "Connection",
    "graph.connections": "Connections",
    "graph.layer": "Layer",
    "graph.network": "Network",
    "perceptron": "Perceptron LinearUnit",
    "check.gradients": "gradient_check",
    "check.parity": "parity_check",
    "inspect.receptive": "receptive_field ReceptiveField",
    "layers.core": "Input Dense Activation Softmax ReLU LeakyReLU Dropout",
    "layers.convolution": "Conv1D Conv2D DepthwiseConv2D",
    "layers.pooling": "MaxPooling1D MaxPooling2D AveragePooling1D AveragePooling2D "
    "GlobalMaxPooling1D GlobalMaxPooling2D GlobalAveragePooling1D GlobalAveragePooling2D",
    "layers.shaping": "Flatten Reshape ZeroPadding1D ZeroPadding2D",
    "layers.merging": "Add Multiply Average Maximum Concatenate",
    "layers.normalization": "BatchNormalization LayerNormalization LocalResponseNormalization",
    "layers.recurrent_cells": "SimpleRNN LSTM GRU",
    "layers.bidirectional": "Bidirectional",
    "layers.repeating": "TimeDistributed RepeatVector",
    "layers.embedding": "Embedding",
    "layers.masking": "Masking",
    "layers.trees": "Recursive ChildSumTreeLSTM",
    "graph.tree": "Tree",
    "graph.tree_network": "tree_network tree_values",
    "initializers": "Zeros Ones Constant RandomUniform RandomNormal TruncatedNormal "
    "VarianceScaling GlorotUniform GlorotNormal HeUniform HeNormal LecunUniform LecunNormal "
    "Orthogonal Identity",
    "regularizers": "L1 L2 L1L2",
    "train.losses": "SumSquaredError MeanSquaredError MeanAbsoluteError Huber BinaryCrossentropy "
    "CategoricalCrossentropy SparseCategoricalCrossentropy",
    "train.optimizers": "SGD Adagrad RMSprop Adam AdamW",
    "train.schedules": "ExponentialDecay CosineDecay PiecewiseConstant",
    "train.metrics": "Accuracy BinaryAccuracy CategoricalAccuracy SparseCategoricalAccuracy TopK "
    "RootMeanSquaredError Precision Recall F1 ConfusionMatrix",
    "train.model": "Model compile",
    "train.history": "History",
    "train.session": "TrainingWarning",
    "train.ranks": "average_over_ranks",
    "train.callbacks": "Callback CSVLogger EarlyStopping LambdaCallback LearningRateScheduler "
    "ReduceLROnPlateau TerminateOnNaN",
    "train.checkpoint": "ModelCheckpoint",
    "train.tensorboard": "TensorBoard",
    "train.probe": "Probe",
    "train.restore": "resume",
    "storage.loading": "load",
    "storage.document": "from_json",
    "interop.networkx": "from_networkx to_networkx",
    "interop.tables": "from_edges to_edges from_graphml to_graphml",
    "interop.neat": "from_neat",
    "interop.torch": "from_torch",
    "interop.keras": "from_keras",
    "interop.onnx": "from_onnx",
    "render.maps": "show_kernels show_feature_maps",
    "render.animation": "animate film_strip",
    "render.boundary": "decision_boundary",
    "render.series": "show_series",
    "render.trees": "draw_tree",
}
_HOME = {name: home for home, names in _HOMES.items() for name in names.split()}
_PACKAGES = ("datasets", "zoo")

__all__ = [*_HOME, *_PACKAGES, "__version__"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name in _PACKAGES:
        return import_module(f"neurograph.{name}")
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"neurograph has no {name!r}", name=name, obj=sys.modules[__name__])
    found = getattr(import_module(f"neurograph.{home}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)

"""Sunspots: next year's number from twenty years, and what a network dreams of the years to come.

A GRU is trained on the years to 1948 and asked about each of the sixty after. Beside it stand
"as last year", "as 11 years ago", a cycle, and a linear prediction from the same twenty years.
Training stops when the last part of the training years is predicted no better any more.

    python examples/sunspots.py
"""

import sys

import numpy as np

import neurograph as ng

SEEN, TESTED = 20, 60


def network(kind: str) -> ng.Network:
    middle = ng.Flatten() if kind == "linear" else ng.GRU(24)
    return ng.Network([ng.Input((SEEN, 1)), middle, ng.Dense(1)], seed=0)


def dream(model: ng.Model, window: np.ndarray, years: int) -> np.ndarray:
    """Return what follows a window when predictions are taken for the truth: (years, 1)."""
    series = window
    for _ in range(years):
        series = np.concatenate([series, model.predict(series[None, -SEEN:])])
    return series[SEEN:]


def main(quick: bool = False, folder: str = ".") -> dict[str, float]:
    raw = ng.datasets.sunspots(window=SEEN, test=TESTED)
    data = raw.scaled()
    truth = raw.test.y[:, 0]
    said = {"as last year": raw.test.x[:, -1, 0], "as 11 years ago": raw.test.x[:, -11, 0]}
    models = {}
    for kind in ("linear", "GRU"):
        models[kind] = network(kind).compile("adam(0.005)", "mse")
        models[kind].fit(
            *data.train,
            batch_size=16,
            epochs=30 if quick else 500,
            validation_split=0.2,
            callbacks=ng.EarlyStopping(patience=30, restore_best_weights=True),
            verbose=0,
        )
        said[kind] = data.scaler.inverse(models[kind].predict(data.test.x))[:, 0]

    errors = {}
    for name, prediction in said.items():
        error = prediction - truth
        errors[name] = float(np.sqrt((error**2).mean()))
        print(f"{name:15}  rmse {errors[name]:5.1f}, mae {np.abs(error).mean():5.1f}")
    if not quick:
        dreamt = data.scaler.inverse(dream(models["GRU"], data.test.x[0], TESTED))
        years = data.columns["year"][-2 * TESTED :]
        ng.show_series(
            {
                "truth": data.columns["sunspots"][-2 * TESTED :],
                "GRU, a year ahead": said["GRU"],
                "GRU, from 1949 on its own": dreamt,
            },
            f"{folder}/sunspots.svg",
            time=years,
            title="sunspots a year",
        )
    return errors


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)

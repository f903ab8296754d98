"""A share's next opening price from sixty, by SimpleRNN, LSTM and GRU, beside "as today".

Two recurrent layers of 80 and 100 with dropout; prices are brought to 0..1 by what the training
days alone tell, and the last 300 days are for testing. Is all this better than saying that the
price stays as it is? The last line says.

    python examples/stock.py [daily.csv]

Without a file of one's own it takes stock/SH600519.csv in the folder that NEUROGRAPH_DATA names,
if there is one, else the oil prices that ship.
"""

import os
import sys
from pathlib import Path

import numpy as np

import neurograph as ng

LAYERS = {"SimpleRNN": ng.SimpleRNN, "LSTM": ng.LSTM, "GRU": ng.GRU}


def prices(given: str) -> ng.datasets.Dataset:
    """Return windows of 60 days, unscaled."""
    path = Path(given or Path(os.environ.get("NEUROGRAPH_DATA", "."), "stock/SH600519.csv"))
    if not given and not path.exists():
        return ng.datasets.prices(window=60, test=300)
    table = ng.datasets.read_stock(path)
    return ng.datasets.from_series(
        table["open"],
        window=60,
        test=300,
        name=path.stem,
        description="opening prices, day by day",
        columns=dict(table),
    )


def network(layer: type, quick: bool) -> ng.Network:
    first, second = (8, 10) if quick else (80, 100)
    return ng.Network(
        [
            ng.Input((60, 1)),
            layer(first, return_sequences=True),
            ng.Dropout(0.2),
            layer(second),
            ng.Dropout(0.2),
            ng.Dense(1),
        ],
        seed=0,
    )


def main(path: str = "", quick: bool = False, folder: str = ".") -> dict[str, float]:
    raw = prices(path)
    data = raw.scaled()
    print(data)
    truth = raw.test.y[:, 0]
    said = {"as today": raw.test.x[:, -1, 0]}
    epochs = 1 if quick else -(-40_000 // len(data.train.x))
    batch, rate = (128, 0.01) if quick else (64, 0.001)
    for name, layer in LAYERS.items():
        print(name)
        model = network(layer, quick).compile(ng.Adam(rate), "mse")
        model.fit(*data.train, epochs=epochs, batch_size=batch, verbose=0 if quick else 1)
        said[name] = data.scaler.inverse(model.predict(data.test.x))[:, 0]

    print("           mse        rmse      mae")
    errors = {}
    for name, prediction in said.items():
        error = prediction - truth
        errors[name] = float(np.sqrt((error**2).mean()))
        mae = np.abs(error).mean()
        print(f"{name:9}  {errors[name] ** 2:9.2f}  {errors[name]:7.3f}  {mae:7.3f}")
    best = min(LAYERS, key=errors.get)
    factor = errors[best] / errors["as today"]
    print(f'the rmse of {best}, the best network, is {factor:.2f} times that of "as today"')
    if not quick:
        ng.show_series(
            {"truth": truth, **{name: said[name] for name in LAYERS}},
            f"{folder}/stock.svg",
            time=data.columns["date"][-300:],
            title=f"{data.name}: the last 300 days, each predicted from the 60 days before it",
        )
    return errors


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    main(*words[:1], quick="--quick" in sys.argv)

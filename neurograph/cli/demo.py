"""``neurograph demo``: the whole story on digits that ship inside."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

import neurograph as ng
from neurograph.cli.blocks import as_blocks, side_by_side
from neurograph.cli.runs import MODEL_FILE, Settings
from neurograph.errors import MissingDependencyError
from neurograph.graph.network import Network
from neurograph.options import whole
from neurograph.train.callback import Callback, Logs
from neurograph.train.model import Model

GOAL = 0.96
LOSS = "categorical_crossentropy"
SHOWN_EPOCHS = (1, 2, 3, 5, 10, 15, 20)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("--out", default="neurograph-demo", help="the folder to write to")
    parser.add_argument("--epochs", type=int, default=20, help="rounds through the digits (20)")
    parser.add_argument("--seed", type=int, default=0, help="of weights and shuffling (0)")


def run(arguments: argparse.Namespace) -> int:
    """Tell the story; 1 if one of its checks fails."""
    whole("demo: epochs", arguments.epochs, least=1)
    whole("demo: seed", arguments.seed)
    folder = Path(arguments.out)
    folder.mkdir(parents=True, exist_ok=True)
    Settings(
        "digits",
        "digits",
        epochs=arguments.epochs,
        optimizer="adam(0.01)",
        seed=arguments.seed,
        class_names=tuple("0123456789"),
    ).write(folder)
    data = ng.datasets.digits().scaled()
    show_data(data)
    model = make_model(arguments.seed)
    checks = [
        train(model, data, arguments.epochs),
        check_gradients(model, data),
        look_inside(model, data),
        save_and_load(model, data, folder),
    ]
    draw(model, folder)
    if all(checks):
        print("\nEverything checked. Now your own: see README.md, or neurograph --help.")
        return 0
    print(f"\n{checks.count(False)} of {len(checks)} checks failed, see above.")
    return 1


def show_data(data: Any) -> None:
    """Print what there is to learn from."""
    title(1, "The data")
    print(
        f"   {len(data.x_train) + len(data.x_test):,} handwritten digits of 8 by 8 pixels: "
        f"{len(data.x_train):,} to learn from,\n"
        f"   {len(data.x_test)} held out to see whether it learned. Four of them:\n"
    )
    some = [5, 2, 3, 4]
    print(indented("\n".join(side_by_side([as_blocks(data.x_train[each]) for each in some]))))
    print("   " + "".join(f"{data.y_train[each]}".center(20) for each in some).rstrip())


def make_model(seed: int) -> Model:
    """Build the network, show its table, and compile it."""
    title(2, "The network")
    network = Network(
        [
            ng.Input((64,), name="pixel"),
            ng.Dense(24, activation="relu", name="hidden"),
            ng.Dense(10, activation="softmax", name="digit"),
        ],
        seed=seed,
        name="digits",
    )
    print(indented(str(network.summary(show=False))))
    return Model(network, "adam(0.01)", LOSS, ["accuracy"], seed=seed)


class SomeEpochs(Callback):
    """Prints a line for the first epochs and then for some."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Print the line."""
        last = epoch + 1 == self.params["epochs"]
        if logs and (epoch + 1 in SHOWN_EPOCHS or last):
            print(
                f"   {epoch + 1:5}  {logs['loss']:13.4f}  {logs['accuracy']:17.1%}"
                f"  {logs['val_accuracy']:17.1%}"
            )


def train(model: Model, data: Any, epochs: int) -> bool:
    """Train; return whether enough held-out digits are read right."""
    title(3, "Training")
    print("   epoch  training loss  training accuracy  held-out accuracy")
    start = time.perf_counter()
    ready = data.flat().one_hot()
    model.fit(
        ready.x_train,
        ready.y_train,
        epochs=epochs,
        validation_data=ready.test,
        callbacks=[SomeEpochs()],
        verbose=0,
    )
    seconds = time.perf_counter() - start
    accuracy = float(np.mean(read(model, data.x_test) == data.y_test))
    updates = epochs * -(-len(data.x_train) // 32)
    print(
        f"\n   {updates:,} steps in {seconds:.2f} s. Of the {len(data.y_test)} digits it never "
        f"saw, it reads {accuracy:.1%} right."
    )
    return verdict(accuracy >= GOAL, f"at least {GOAL:.0%} of the held-out digits are read right")


def check_gradients(model: Model, data: Any) -> bool:
    """Compare some gradients with numeric derivatives, and the two ways to calculate."""
    title(4, "Checking the gradients")
    ready = data.flat().one_hot()
    x, y = ready.x_test[:4], ready.y_test[:4]
    report = ng.gradient_check(model.network, x, y, loss=LOSS, samples=200)
    worst = report.worst
    print(
        f"   {len(report.rows)} of {report.total:,} gradients, compared with {report.method} of "
        f"the loss.\n   The worst agrees to {worst.relative:.1g}: {worst.name}, "
        f"{worst.analytic:.9g} against {worst.numeric:.9g}."
    )
    right = verdict(report.ok, "all compiled gradients are derivatives of the loss")
    if not report.ok:
        print(indented(str(report)))
    parity = ng.parity_check(model.network, x, y, loss=LOSS)
    print(
        f"   Walking node by node, by the textbook: the largest difference of any output, delta or "
        f"gradient\n   from the compiled matrix products is {parity.worst.relative:.1g}."
    )
    if not parity.ok:
        print(indented(str(parity)))
    same = verdict(parity.ok, "compiled and node by node, the same network")
    return right and same


def look_inside(model: Model, data: Any) -> bool:
    """Explain one connection: of a digit that is misread, the one that speaks loudest for it."""
    title(5, "Looking inside: one mistake, one connection")
    ready = data.flat().one_hot()
    shares = model.predict(ready.x_test)
    number = int(np.argmin(shares[np.arange(len(shares)), data.y_test]))
    share, label = shares[number], int(data.y_test[number])
    said = int(share.argmax())
    print(indented("\n".join(as_blocks(data.x_test[number]))))
    wrong = said != label
    print(
        f"\n   Held-out digit {number} is a {label}. The network says {said} ({share[said]:.1%})"
        + (f", and {label} only {share[label]:.1%}." if wrong else ", its least certain answer.")
    )
    model.inspect(ready.x_test[number : number + 1], ready.y_test[number : number + 1])
    node = model.network.layer("digit")[said]
    loudest = max(node.upstream, key=lambda each: each.weight * value(each.upstream_node.output))
    up, down = loudest.upstream_node, loudest.downstream_node
    print(
        f"   Of the {len(node.upstream)} connections into {down.label}, this one says it loudest:\n"
    )
    rows = [
        (loudest.label, ""),
        ("weight", f"{loudest.weight:.6f}"),
        ("gradient", f"{loudest.gradient:.6f}  = -delta * output, dE/d weight"),
        (
            f"upstream node {up.label}",
            f"output {value(up.output):.6f}, {up.activation.name} of its net",
        ),
        (f"downstream node {down.label}", f"delta {value(down.delta):.6f}, -dE/d net"),
    ]
    width = max(len(name) for name, _ in rows)
    print("\n".join(f"      {name.ljust(width)}  {what}".rstrip() for name, what in rows))
    print(f"\n   How {down.label} came to its answer (print(node.explain())):\n")
    print(indented(down.explain(limit=5), 6))
    expected = -value(down.delta) * value(up.output)
    near = abs(expected - loudest.gradient) <= 1e-5 * max(abs(expected), 1e-3)
    return verdict(near, "the gradient is -delta * output")


def save_and_load(model: Model, data: Any, folder: Path) -> bool:
    """Save the model, load it, and compare what both say."""
    title(6, "Saving and loading")
    path = folder / MODEL_FILE
    model.save(path)
    again = ng.load(path)
    x = data.flat().x_test
    equal = np.array_equal(model.predict(x), again.predict(x))
    print(f"   {path}: {path.stat().st_size / 1000:.0f} kB, network, weights, optimizer, history")
    return verdict(equal, "the loaded model predicts the same, to the last bit")


def draw(model: Model, folder: Path) -> None:
    """Write the diagram, the curves and the source text."""
    title(7, "Pictures and files")
    picture = model.network.render(view="nodes", show=("weight", "output"))
    picture.write(folder / "network.dot")
    rows = [("network.dot", "the network: weights as colours, the misread digit going through")]
    try:
        picture.pipe("svg")
        picture.write(folder / "network.svg")
        rows.append(("network.svg", "the same as a picture, open it in a browser"))
    except MissingDependencyError as error:
        rows.append(("no network.svg", str(error)))
    try:
        assert model.history is not None
        model.history.plot(folder / "curves.svg")
        rows.append(("curves.svg", "loss and accuracy over the epochs"))
    except MissingDependencyError as error:
        rows.append(("no curves.svg", str(error)))
    (folder / "step.py").write_text(model.source + "\n", encoding="utf-8")
    rows.append(("step.py", "the NumPy statements of one training step, as they ran"))
    rows.append((MODEL_FILE, f"the model; try: neurograph inspect {folder} 'hidden[3]'"))
    print(f"   in {folder.resolve()}")
    width = max(len(name) for name, _ in rows)
    print("\n".join(f"      {name.ljust(width)}  {what}" for name, what in rows))


def read(model: Model, pictures: Any) -> Any:
    """Return the digit that the network sees in each picture, (samples, 8, 8)."""
    return model.predict(pictures.reshape(len(pictures), -1)).argmax(axis=1)


def value(values: Any) -> float:
    """Return the value of a run on one sample."""
    return float(np.asarray(values).reshape(-1)[0])


def title(number: int, text: str) -> None:
    """Print the title of a part."""
    print(f"\n{number}  {text}\n")


def verdict(right: bool, sentence: str) -> bool:
    """Print whether a check passed, and return it."""
    print(f"   {'ok' if right else 'FAILED'}: {sentence}")
    return right


def indented(text: str, by: int = 3) -> str:
    """Return text moved to the right."""
    return "\n".join((" " * by + line).rstrip() for line in text.splitlines())

"""The zoo: exact sizes of the originals, and the small versions run."""

import numpy as np
import pytest
from by_edges import outputs_of

import neurograph as ng
from neurograph import zoo

COUNTS = {
    "people": 26,
    "mlp": 407_050,
    "fashion_mlp": 101_770,
    "cbapd": 198_494,
    "lenet5": 61_706,
    "alexnet": 61_100_840,
    "vgg11": 132_863_336,
    "vgg13": 133_047_848,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "googlenet": 6_624_904,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet18_cifar": 11_173_962,
    "resnet20_cifar": 272_474,
    "resnet56_cifar": 855_770,
}
LAYERS = {
    "vgg8_cifar": 8,
    "vgg16": 16,
    "resnet18": 18,
    "resnet34": 34,
    "resnet101": 101,
    "resnet20_cifar": 20,
    "resnet56_cifar": 56,
}
SHORTCUTS = {"resnet18": 3, "resnet34": 3, "resnet101": 4, "resnet20_cifar": 2, "resnet56_cifar": 2}


def trained(net):
    return sum(each.size for each in net.parameters.values() if each.trainable)


@pytest.mark.parametrize("name", COUNTS)
def test_an_architecture_has_the_parameters_of_the_original(name):
    net = zoo.get(name)()
    assert trained(net) == COUNTS[name]
    assert not any(parameter.is_materialised for parameter in net.parameters.values())


@pytest.mark.parametrize("name", LAYERS)
def test_an_architecture_is_as_deep_as_its_name_says(name):
    kinds = [layer.kind for layer in zoo.get(name)().layers]
    weighted = kinds.count("conv2d") + kinds.count("dense")
    assert weighted - SHORTCUTS.get(name, 0) == LAYERS[name]


def test_the_inception_of_the_paper_has_its_parameters():
    assert trained(zoo.googlenet(batch_norm=False)) == 6_998_552


@pytest.mark.parametrize("name", zoo.NAMES)
def test_every_name_takes_classes_a_seed_and_another_input(name):
    build = zoo.get(name)
    net = build(classes=7, seed=1)
    assert net.outputs[0].shape == (7,)
    assert net.name == name or name == "lenet5_cifar"
    if len(net.inputs[0].shape) == 3:
        height, width, channels = net.inputs[0].shape
        other = build(input_shape=(height + 4, width, channels + 1))
        assert other.inputs[0].shape == (height + 4, width, channels + 1)


@pytest.mark.parametrize("name", ["vgg16", "vgg8_cifar", "resnet50", "resnet20_cifar"])
def test_a_depth_that_does_not_exist_is_refused(name):
    with pytest.raises(ng.UnknownNameError, match=r"unknown depth 12 of .* \d\d, "):
        zoo.get(name)(depth=12)


def test_small_pictures_are_padded_for_lenet():
    for size in (28, 32):
        net = zoo.lenet5((size, size, 1))
        assert net.layer("flatten").shape == (400,)
        assert trained(net) == 61_706


def test_networks_of_vectors_take_pictures_too():
    net = zoo.mlp(input_shape=(28, 28, 1))
    assert [layer.kind for layer in net.layers][:2] == ["input", "flatten"]


@pytest.mark.parametrize(
    ("name", "shape"),
    [("lenet5", (16, 16, 1)), ("vgg8_cifar", (8, 8, 3)), ("googlenet_cifar", (8, 8, 3))],
)
def test_small_versions_give_probabilities(name, shape):
    options = {"googlenet_cifar": {"filters": 2}}.get(name, {})
    net = zoo.get(name)(input_shape=shape, seed=0, **options)
    x = np.random.default_rng(0).normal(size=(2, *shape))
    y = outputs_of(net, x)[0]
    np.testing.assert_allclose(y.sum(axis=-1), 1.0)
    assert (abs(y[0] - y[1]) > 1e-6).any()


def test_an_unknown_name_is_told_the_nearest():
    with pytest.raises(ng.UnknownNameError, match="did you mean 'resnet50'"):
        zoo.get("resnet5")
    with pytest.raises(AttributeError, match="the zoo has no 'vgg17'"):
        zoo.vgg17()
    assert zoo.vgg16_cifar(classes=3).outputs[0].shape == (3,)
    assert set(zoo.NAMES) <= set(dir(zoo))


def resnet18_in_pytorch(torch, net, x):
    """Return what torchvision's definition gives, from the weights of our network."""
    f = torch.nn.functional
    weights = {name: torch.tensor(each.value) for name, each in net.parameters.items()}
    kernels = iter([each for name, each in weights.items() if name.startswith("conv2d")])
    norms = iter(
        [
            [weights[f"{layer.name}/{k}"] for k in layer.parameters]
            for layer in net.all_layers
            if layer.kind == "batch_normalization"
        ]
    )

    def conv(x, stride):
        kernel = next(kernels).permute(3, 2, 0, 1)
        gamma, beta, mean, variance = next(norms)
        x = f.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2)
        return f.batch_norm(x, mean, variance, gamma, beta, eps=1e-5)

    x = torch.relu(conv(torch.tensor(x).permute(0, 3, 1, 2), 2))
    x = f.max_pool2d(x, 3, 2, 1)
    for stage in range(4):
        for block in range(2):
            stride = 2 if stage and not block else 1
            y = conv(torch.relu(conv(x, stride)), 1)
            x = torch.relu(y + (conv(x, stride) if stride > 1 else x))
    x = x.mean(dim=(2, 3)) @ weights["dense/kernel"] + weights["dense/bias"]
    return torch.softmax(x, dim=-1).numpy()


def test_resnet18_gives_the_numbers_of_its_definition_in_pytorch():
    torch = pytest.importorskip("torch")
    net = zoo.resnet18(input_shape=(45, 38, 3), classes=5, seed=0)
    generator = np.random.default_rng(0)
    for name, parameter in net.parameters.items():
        if "batch_normalization" in name:
            parameter.value = generator.uniform(0.5, 1.5, parameter.shape)
    x = generator.normal(size=(2, 45, 38, 3))
    ours = net.compile(dtype="float64", loss="categorical_crossentropy").predict(x)
    np.testing.assert_allclose(ours, resnet18_in_pytorch(torch, net, x), rtol=1e-9)


def test_the_poolings_of_googlenet_round_up_as_its_definition_does():
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).normal(size=(1, 28, 28, 1))
    for window in (3, 2):
        net = ng.Network([ng.Input((28, 28, 1)), ng.MaxPooling2D(window, 2, padding="same")])
        image = torch.tensor(x).permute(0, 3, 1, 2)
        expected = torch.nn.functional.max_pool2d(image, window, 2, ceil_mode=True)
        assert (outputs_of(net, x)[0] == expected.permute(0, 2, 3, 1).numpy()).all()

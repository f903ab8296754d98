"""The files of the public data sets: their names, their hashes, their addresses."""

from __future__ import annotations

from neurograph.datasets.fetch import Resource, Source

_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)

MNIST = Source(
    "MNIST",
    ("mnist", "MNIST/raw", "MNIST"),
    tuple(
        map(
            Resource,
            _FILES,
            (
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            ),
        )
    ),
    (
        "https://storage.googleapis.com/cvdf-datasets/mnist",
        "https://ossci-datasets.s3.amazonaws.com/mnist",
    ),
)

FASHION = Source(
    "Fashion-MNIST",
    ("fashion-mnist", "fashion_mnist", "FashionMNIST/raw", "FashionMNIST"),
    tuple(
        map(
            Resource,
            _FILES,
            (
                "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
                "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
                "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
                "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            ),
        )
    ),
    (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets",
    ),
)

CIFAR10 = Source(
    "CIFAR-10",
    ("cifar-10-batches-py", "cifar10/cifar-10-batches-py", "cifar10", "cifar-10"),
    tuple(
        map(
            Resource,
            (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"),
            (
                "54636561a3ce25bd3e19253c6b0d8538147b0ae398331ac4a2d86c6d987368cd",
                "766b2cef9fbc745cf056b3152224f7cf77163b330ea9a15f9392beb8b89bc5a8",
                "0f00d98ebfb30b3ec0ad19f9756dc2630b89003e10525f5e148445e82aa6a1f9",
                "3f7bb240661948b8f4d53e36ec720d8306f5668bd0071dcb4e6c947f78e9682b",
                "d91802434d8376bbaeeadf58a737e3a1b12ac839077e931237e0dcd43adcb154",
                "f53d8d457504f7cff4ea9e021afcf0e0ad8e24a91f3fc42091b8adef61157831",
            ),
        )
    ),
    ("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",),
)

# the first pictures of each of CIFAR-10's six batches, kept as one .npz file
CIFAR10_SUBSET = Source("CIFAR-10's subset", ("cifar10-subset", "cifar10", "cifar-10"), (), ())
SUBSET_FILE = "cifar10_subset.npz"
SUBSET_COUNT = 1017
SUBSET_SHA256 = "9ce98fd7859b36e69e180975b2d303324dd904a9b9f3c8ae4ae2e6ca772590d8"

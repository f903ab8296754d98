from __future__ import annotations

import random
from types import SimpleNamespace

import numpy as np
import pytest

import neurograph as ng
from neurograph.interop.neat import _ROWS

CONFIG = """
[NEAT]
fitness_criterion = max
fitness_threshold = 3.9
pop_size = 10
reset_on_extinction = False
no_fitness_termination = True

[DefaultGenome]
activation_default = random
activation_mutate_rate = 0.5
activation_options = {activations}
aggregation_default = random
aggregation_mutate_rate = 0.5
aggregation_options = sum product max min mean
bias_init_mean = 0.0
bias_init_stdev = 1.0
bias_init_type = gaussian
bias_max_value = 30.0
bias_min_value = -30.0
bias_mutate_power = 0.5
bias_mutate_rate = 0.7
bias_replace_rate = 0.1
compatibility_disjoint_coefficient = 1.0
compatibility_weight_coefficient = 0.5
conn_add_prob = 0.9
conn_delete_prob = 0.1
enabled_default = True
enabled_mutate_rate = 0.1
enabled_rate_to_true_add = 0.0
enabled_rate_to_false_add = 0.0
feed_forward = {forward}
initial_connection = partial_direct 0.5
node_add_prob = 0.6
node_delete_prob = 0.1
num_hidden = 2
num_inputs = 3
num_outputs = 2
response_init_mean = 1.0
response_init_stdev = 0.5
response_init_type = gaussian
response_max_value = 30.0
response_min_value = -30.0
response_mutate_power = 0.3
response_mutate_rate = 0.5
response_replace_rate = 0.1
time_constant_init_mean = 1.0
time_constant_init_stdev = 0.0
time_constant_init_type = gaussian
time_constant_max_value = 10.0
time_constant_min_value = 0.01
time_constant_mutate_power = 0.0
time_constant_mutate_rate = 0.0
time_constant_replace_rate = 0.0
weight_init_mean = 0.0
weight_init_stdev = 1.0
weight_init_type = gaussian
weight_max_value = 30
weight_min_value = -30
weight_mutate_power = 0.5
weight_mutate_rate = 0.8
weight_replace_rate = 0.1
single_structural_mutation = false
structural_mutation_surer = default

[DefaultSpeciesSet]
compatibility_threshold = 3.0

[DefaultStagnation]
species_fitness_func = max
max_stagnation = 20
species_elitism = 2

[DefaultReproduction]
elitism = 2
survival_threshold = 0.2
min_species_size = 2
"""
ACTIVATIONS = [*_ROWS, "identity", "relu", "elu", "selu"]


def configuration(tmp_path, forward):
    neat = pytest.importorskip("neat")
    from neat.innovation import InnovationTracker

    path = tmp_path / "neat.cfg"
    path.write_text(CONFIG.format(forward=forward, activations=" ".join(ACTIVATIONS)))
    config = neat.Config(
        neat.DefaultGenome,
        neat.DefaultReproduction,
        neat.DefaultSpeciesSet,
        neat.DefaultStagnation,
        str(path),
    )
    config.genome_config.innovation_tracker = InnovationTracker()
    return neat, config


def genomes(neat, config, count):
    random.seed(4)
    for key in range(count):
        genome = neat.DefaultGenome(key)
        genome.configure_new(config.genome_config)
        for _ in range(6):
            genome.mutate(config.genome_config)
        yield genome


@pytest.mark.parametrize("forward", [True, False])
def test_genomes_give_the_numbers_of_neat(tmp_path, forward):
    neat, config = configuration(tmp_path, forward)
    kind = neat.nn.FeedForwardNetwork if forward else neat.nn.RecurrentNetwork
    samples = np.random.default_rng(0).normal(size=(4, 3))
    compared = 0
    for genome in genomes(neat, config, 25):
        theirs = kind.create(genome, config)
        try:
            expected = np.array([theirs.activate(list(sample)) for sample in samples])
        except OverflowError:  # theirs has no room for e.g. exp(710)
            continue
        net = ng.from_neat(genome, config)
        given = samples if forward else samples[None]
        got = np.asarray(net.predict(given, explicit=True)).reshape(4, 2)
        scale = np.maximum(1.0, np.abs(expected))
        assert np.abs((got - expected) / scale).max() < 1e-12
        compared += 1
    assert compared >= 20


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_those_of_neat(name):
    neat = pytest.importorskip("neat")
    theirs = neat.activations.ActivationFunctionSet().get(name)
    ours = ng.get_activation(f"neat_{name}" if name in _ROWS else name)
    points = np.array([-20.0, -4.0, -1.3, -0.2, -1e-9, 0.0, 0.4, 1.0, 2.7, 3.9, 13.0])
    got = np.asarray(ours.function(points), dtype=float)
    expected = np.array([theirs(float(point)) for point in points])
    assert got == pytest.approx(expected, rel=1e-14, abs=1e-14)
    assert float(ours.function(0.4)) == pytest.approx(theirs(0.4), rel=1e-14)


@pytest.mark.parametrize("name", _ROWS)
def test_derivatives_are_right(name):
    row = ng.get_activation(f"neat_{name}")
    points = np.array([-30.0, -2.3, -0.7, -0.11, 0.13, 0.9, 2.1, 5.0, 26.0])
    step = 1e-6
    numeric = (row.function(points + step) - row.function(points - step)) / (2 * step)
    analytic = row.derivative(points, row.function(points))
    assert analytic == pytest.approx(numeric, rel=1e-6, abs=1e-6)


def gene(**fields):
    usual = {"bias": 0.5, "response": 2.0, "activation": "identity", "aggregation": "sum"}
    return SimpleNamespace(**{**usual, **fields})


def by_hand(nodes, links, forward=True):
    """Return a genome and a configuration as plain objects, neat-python or not."""
    genome = SimpleNamespace(
        nodes=nodes,
        connections={
            key: SimpleNamespace(key=key, weight=weight, enabled=weight is not None)
            for key, weight in links.items()
        },
    )
    settings = SimpleNamespace(input_keys=[-1, -2], output_keys=[0], feed_forward=forward)
    return genome, SimpleNamespace(genome_config=settings)


def test_response_bias_and_disabled_connections():
    genome, config = by_hand({0: gene()}, {(-1, 0): 3.0, (-2, 0): None})
    net = ng.from_neat(genome, config)
    assert net.predict([1.0, 100.0], explicit=True)[0] == 2.0 * 3.0 + 0.5
    assert net.find("-1->0").weight == 6.0


@pytest.mark.parametrize(
    ("aggregation", "expected"), [("product", -6.0), ("max", 3.0), ("min", -2.0), ("mean", 0.5)]
)
def test_aggregations_take_two_nodes(aggregation, expected):
    nodes = {0: gene(aggregation=aggregation)}
    genome, config = by_hand(nodes, {(-1, 0): 1.0, (-2, 0): 1.0})
    net = ng.from_neat(genome, config)
    assert net.predict([3.0, -2.0], explicit=True)[0] == pytest.approx(2.0 * expected + 0.5)
    assert net.node(f"0/{aggregation}").downstream[0].downstream_node is net.node("0")


def test_connections_of_a_recurrent_genome_are_late():
    genome, config = by_hand(
        {0: gene(), 1: gene()}, {(-1, 1): 1.0, (1, 0): 1.0, (0, 0): 0.5}, forward=False
    )
    net = ng.from_neat(genome, config)
    assert [net.find(label).delay for label in ("-1->1", "1->0", "0->0")] == [0, 1, 1]


def test_names_can_be_given():
    genome, config = by_hand({0: gene()}, {(-1, 0): 1.0, (-2, 0): 1.0})
    net = ng.from_neat(genome, config, names={-1: "left", -2: "right", 0: "turn"})
    assert net.find("left->turn").weight == 2.0


def test_networks_of_genomes_can_be_trained(tmp_path):
    neat, config = configuration(tmp_path, True)
    genome = next(genomes(neat, config, 1))
    for node in genome.nodes.values():
        node.activation, node.aggregation = "tanh", "sum"
    net = ng.from_neat(genome, config)
    data = np.random.default_rng(1).normal(size=(20, 3))
    errors = net.train(np.tanh(data[:, :2]), data, 0.05, 30, explicit=True)
    assert errors[-1] < errors[0]


def test_what_is_not_of_neat_is_said():
    with pytest.raises(ng.GraphError, match="not a genome and a configuration of neat-python"):
        ng.from_neat(object(), object())
    genome, config = by_hand({0: gene(aggregation="median")}, {(-1, 0): 1.0})
    with pytest.raises(ng.GraphError, match="node 0 takes the median"):
        ng.from_neat(genome, config)
    genome, config = by_hand({0: gene(activation="tanhh")}, {(-1, 0): 1.0})
    with pytest.raises(ng.UnknownNameError, match="did you mean 'tanh'"):
        ng.from_neat(genome, config)

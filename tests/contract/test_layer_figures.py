"""The arithmetic of single layers, against its definition and torch's own layers."""

import pytest
import torch
from torch import nn

from cultivar.v1 import architecture_pb2 as pb
from cultivar_contract.layer_figures import calculate

CONV, POOL = pb.LAYER_KIND_CONV, pb.LAYER_KIND_POOL


def figures(kind: int = CONV, **fields: object) -> pb.CalculateLayerResponse:
    answer, violations = calculate(pb.CalculateLayerRequest(kind=kind, **fields))
    assert not violations, violations
    return answer


def refused(kind: int = CONV, **fields: object) -> list[str]:
    answer, violations = calculate(pb.CalculateLayerRequest(kind=kind, **fields))
    assert answer == pb.CalculateLayerResponse()
    return [one.field for one in violations]


def test_the_output_of_78_by_84_with_kernel_5_stride_3_padding_2_is_26_by_28() -> None:
    assert list(figures(input_size=[78, 84], kernel=[5], stride=[3], padding=[2]).output_size) == [26, 28]


def test_an_output_of_16_with_kernel_9_stride_3_padding_1_comes_from_52_53_or_54() -> None:
    answer = figures(output_size=[16], kernel=[9], stride=[3], padding=[1])

    assert [list(one.sizes) for one in answer.input_sizes] == [[52, 53, 54]]


def test_a_convolution_of_32_channels_at_19_px_counts_its_parameters_and_multiplications() -> None:
    answer = figures(input_size=[19, 19], kernel=[7], stride=[3], in_channels=32, out_channels=64)

    assert (answer.parameters, answer.multiplications) == (100_416, 2_508_800)
    assert answer.additions == 64 * 5 * 5 * (32 * 49 - 1 + 1)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(1, 1, 0), (3, 2, 1), (4, 3, 0), (5, 1, 4)])
def test_figures_are_those_of_torchs_layers(dimensions: int, kernel: int, stride: int, padding: int) -> None:
    layer = [nn.Conv1d, nn.Conv2d, nn.Conv3d][dimensions - 1](2, 3, kernel, stride, padding)
    size = [11, 8, 9][:dimensions]

    answer = figures(
        input_size=size, kernel=[kernel], stride=[stride], padding=[padding], in_channels=2, out_channels=3
    )

    output = layer(torch.zeros(1, 2, *size))
    assert [answer.out_channels, *answer.output_size] == list(output.shape[1:])
    assert answer.parameters == sum(one.numel() for one in layer.parameters())
    assert answer.multiplications == output.numel() * layer.weight[0].numel()


def test_every_input_of_a_wanted_output_gives_it_and_no_other_does() -> None:
    for kernel, stride, padding, wanted in ((3, 4, 1, 5), (5, 2, 2, 1), (1, 3, 2, 3)):
        options = {"kernel": [kernel], "stride": [stride], "padding": [padding]}
        (found,) = figures(output_size=[wanted], **options).input_sizes
        giving = []
        for size in range(1, 100):
            answer, violations = calculate(pb.CalculateLayerRequest(kind=CONV, input_size=[size], **options))
            if not violations and list(answer.output_size) == [wanted]:
                giving.append(size)
        assert list(found.sizes) == giving


def test_pooling_steps_by_its_kernel_keeps_channels_and_has_no_parameters() -> None:
    answer = figures(POOL, input_size=[28, 28], kernel=[2], in_channels=6)

    assert (list(answer.output_size), answer.out_channels, answer.parameters) == ([14, 14], 6, 0)


def test_without_a_bias_there_is_one_parameter_and_one_addition_less_for_each_output() -> None:
    answer = figures(input_size=[4], kernel=[3], bias=False)

    assert (answer.parameters, answer.additions) == (3, 2 * 2)


def test_all_that_is_wrong_with_a_layer_is_told_at_once() -> None:
    assert refused(0, kernel=[0], stride=[-1], padding=[2000], in_channels=0) == [
        "kind",
        "input_size",
        "kernel",
        "stride",
        "padding",
        "in_channels",
    ]
    assert refused(input_size=[1, 1, 1, 1], kernel=[1]) == ["input_size"]
    assert refused(input_size=[9], kernel=[3, 3]) == ["kernel"]
    assert refused(input_size=[9]) == ["kernel"]
    assert refused(input_size=[9], output_size=[3], kernel=[3]) == ["output_size"]
    assert refused(input_size=[4], kernel=[7], padding=[1]) == ["kernel"]
    assert refused(output_size=[1], kernel=[1], padding=[4]) == ["output_size"]
    assert refused(POOL, input_size=[9], kernel=[3], padding=[2], bias=True, out_channels=4) == [
        "out_channels",
        "bias",
        "padding",
    ]


def test_counts_too_large_for_the_answer_are_refused() -> None:
    large = [65_536] * 3

    assert refused(input_size=large, kernel=[64], in_channels=65_536, out_channels=65_536) == ["input_size"]

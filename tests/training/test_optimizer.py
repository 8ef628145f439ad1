import copy

import pytest
import torch
from torch.optim._muon import DEFAULT_A, DEFAULT_B, DEFAULT_C

from alloy.training.optimizer import Muon, make_muon, orthogonalize

COEFFICIENTS = (DEFAULT_A, DEFAULT_B, DEFAULT_C)
SHAPES = [(24, 24), (40, 16), (16, 40), (24, 24)]


def make_random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def make_parameters() -> list[torch.nn.Parameter]:
    parameters = [torch.nn.Parameter(make_random(*shape)) for shape in SHAPES]
    for index, parameter in enumerate(parameters):
        parameter.grad = make_random(*parameter.shape) * (index + 1)
    return parameters


@pytest.mark.parametrize("shape", [(3, 24, 24), (2, 40, 16), (2, 16, 40)])
def test_the_iteration_moves_singular_values_close_to_one_and_keeps_singular_vectors(shape):
    matrices = make_random(*shape)
    orthogonal = orthogonalize(matrices, COEFFICIENTS, 5)
    assert orthogonal.dtype == torch.float32
    values = torch.linalg.svdvals(orthogonal)
    assert values[:, :-2].min() > 0.6 and values.max() < 1.3
    left, _, right = torch.linalg.svd(matrices, full_matrices=False)
    turned = left.mT @ orthogonal @ right.mT
    assert (turned - torch.diag_embed(turned.diagonal(dim1=-2, dim2=-1))).abs().max() < 1e-3


def test_each_matrix_of_a_stack_is_orthogonalized_separately():
    matrices = make_random(3, 40, 16)
    separate = torch.cat([orthogonalize(matrix[None], COEFFICIENTS, 5) for matrix in matrices])
    torch.testing.assert_close(orthogonalize(matrices, COEFFICIENTS, 5), separate, atol=1e-5, rtol=0)


def test_a_zero_gradient_moves_nothing():
    assert orthogonalize(torch.zeros(1, 8, 8), COEFFICIENTS, 5).abs().max() == 0


def test_steps_match_torch_within_the_precision_of_bfloat16():
    parameters, torch_parameters = make_parameters(), make_parameters()
    settings = {"lr": 0.1, "weight_decay": 0.1, "adjust_lr_fn": "match_rms_adamw"}
    optimizer, torch_optimizer = Muon(parameters, **settings), torch.optim.Muon(torch_parameters, **settings)
    for _ in range(3):
        optimizer.step()
        torch_optimizer.step()
    for parameter, expected in zip(parameters, torch_parameters, strict=True):
        torch.testing.assert_close(parameter, expected, atol=0.01, rtol=0)


def test_a_parameter_without_a_gradient_does_not_change_and_states_can_be_loaded():
    parameters = make_parameters()
    parameters[0].grad = None
    before = parameters[0].detach().clone()
    optimizer = Muon(parameters, lr=0.1)
    optimizer.step()
    assert torch.equal(parameters[0], before)
    copies = [torch.nn.Parameter(parameter.detach().clone()) for parameter in parameters]
    for copied, parameter in zip(copies, parameters, strict=True):
        copied.grad = parameter.grad
    resumed = Muon(copies, lr=0.1)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    optimizer.step()
    resumed.step()
    assert all(torch.equal(a, b) for a, b in zip(copies, parameters, strict=True))


def test_embeddings_and_vectors_go_to_adamw():
    model = torch.nn.ModuleDict(
        {
            "embed": torch.nn.Embedding(8, 4),
            "layer": torch.nn.Linear(4, 6),
            "lm_head": torch.nn.Linear(4, 8, bias=False),
        }
    )
    matrices, other_parameters = make_muon(model, 1e-3, 0.0).parts
    assert isinstance(matrices, Muon)
    assert [p.shape for group in matrices.param_groups for p in group["params"]] == [(6, 4)]
    assert sorted(p.ndim for group in other_parameters.param_groups for p in group["params"]) == [1, 2, 2]

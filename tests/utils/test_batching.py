"""Many rows through one batched function, in blocks of one size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcf.utils.batching import batch_size, map_batches


@pytest.mark.parametrize("num_rows", [1, 2, 3, 7, 8, 512, 513, 1100])
def test_blocks_give_what_one_call_gives(num_rows):
    x = np.arange(num_rows * 2, dtype=np.float32).reshape(num_rows, 2)
    doubled, total = map_batches(lambda x, y: (2 * x, (x + y).sum(axis=1)), x, x)
    np.testing.assert_array_equal(doubled, 2 * x)
    np.testing.assert_array_equal(total, 2 * x.sum(axis=1))


def test_a_block_size_of_ones_own_is_kept_and_the_last_block_is_filled_up():
    sizes = []

    def function(x):
        sizes.append(len(x))
        return x

    x = np.arange(7)
    np.testing.assert_array_equal(map_batches(function, x, size=3), x)
    assert sizes == [3, 3, 3]


def test_few_sizes_are_compiled():
    traces = []

    @jax.jit
    def function(x):
        traces.append(len(x))
        return jnp.sin(x)

    for num_rows in range(1, 70):
        map_batches(function, np.zeros(num_rows, np.float32))
    assert sorted(set(traces)) == sorted(traces) == [1, 2, 4, 8, 16, 32, 64, 128]


def test_large_rows_go_to_a_cpu_in_smaller_batches():
    assert batch_size(10**6, (30,)) == 512
    assert batch_size(10**6, (28, 28, 1)) == 128
    assert batch_size(10**6, (32, 32, 3)) == 32
    assert batch_size(10**6, (512, 512, 3)) == 8
    assert batch_size(5, (28, 28, 1)) == 8
    x = np.random.default_rng(0).normal(size=(300, 28, 28)).astype(np.float32)
    sizes = []
    result = map_batches(lambda batch: sizes.append(len(batch)) or batch[:, 0], x)
    np.testing.assert_array_equal(result, x[:, 0])
    assert sizes == [128] * 3

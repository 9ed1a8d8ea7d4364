"""The official configuration, at its default values. There are no command-line flags."""

from __future__ import annotations

from typing import Any

from nasbench_lab.spaces.nb101 import MAX_EDGES, NODES, OPERATIONS


def build_config() -> dict[str, Any]:
    """The settings of the search space and of the trainings, as a new dictionary."""
    return {
        "train_data_files": [],
        "valid_data_file": "",
        "test_data_file": "",
        "sample_data_file": "",
        "data_format": "channels_last",
        "num_labels": 10,
        "module_vertices": NODES,
        "max_edges": MAX_EDGES,
        "available_ops": list(OPERATIONS),
        "stem_filter_size": 128,
        "num_stacks": 3,
        "num_modules_per_stack": 3,
        "batch_size": 256,
        "train_epochs": 108,
        "train_seconds": 14400.0,
        "learning_rate": 0.1,
        "lr_decay_method": "COSINE_BY_STEP",
        "momentum": 0.9,
        "weight_decay": 1e-4,
        "max_attempts": 5,
        "intermediate_evaluations": ["0.5"],
        "num_repeats": 3,
        "use_tpu": True,
        "tpu_iterations_per_loop": 100,
        "tpu_num_shards": 2,
    }

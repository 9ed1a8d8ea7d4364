"""Drop-in replacement for the package ``nasbench`` (NAS-Bench-101), without TensorFlow.

``api`` has the classes of the official ``nasbench.api``, and ``lib`` those modules that scripts
import: ``config``, ``graph_util`` and ``model_spec``. Whatever trains or needs TensorFlow is absent.
"""

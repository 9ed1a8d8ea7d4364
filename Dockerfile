# nasbench-lab in a container; docs/start.md says how to build and use it. It runs as any user.
FROM python:3.12-slim

# Extras by their names, such as train,optuna; none are needed to compare on tables.
ARG EXTRAS=""
# Where pip looks for PyTorch too: its own index of builds for the CPU, which are much smaller.
ARG TORCH_INDEX=""

WORKDIR /opt/nasbench-lab
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY nasbench_lab nasbench_lab
COPY algorithms algorithms
COPY tabular_data tabular_data
RUN python -m pip install --no-cache-dir --constraint constraints.txt \
    ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} ".${EXTRAS:+[$EXTRAS]}"

# Results and tables may belong to whoever runs the container: docker run --user "$(id -u):$(id -g)".
ENV HOME=/lab NASBENCH_LAB_DATA=/lab/data MPLCONFIGDIR=/lab/matplotlib
RUN useradd --home-dir /lab --no-create-home lab \
    && install --directory --owner lab --group lab --mode 1777 /lab /lab/results
WORKDIR /lab
USER lab
# The table of `nasbench-lab compare`, and the fonts of figures, so that neither is made in each run.
RUN nasbench-lab describe nas-bench-201-final --json > /dev/null \
    && python -c "import matplotlib.font_manager" \
    && chmod -R a+rwX /lab/data /lab/matplotlib

ENTRYPOINT ["nasbench-lab"]
CMD ["compare"]

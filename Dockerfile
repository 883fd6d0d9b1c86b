# CUDA's runtime and TinyZero, as a user who is not root.
#
#   docker build -t tinyzero .
#   docker run --rm --gpus all tinyzero                                        # doctor: is all well?
#   docker run --rm --gpus all -it -v tinyzero:/data tinyzero train            # runs and downloads stay in the volume
FROM nvidia/cuda:13.0.1-runtime-ubuntu24.04

# Triton compiles its kernels when they are first used, which takes a C compiler and Python's headers.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/*

RUN useradd --create-home --uid 10001 tinyzero \
    && install --directory --owner=tinyzero /data /opt/venv

USER tinyzero
ENV PATH=/opt/venv/bin:$PATH HF_HOME=/data/huggingface PIP_NO_CACHE_DIR=1

COPY --chown=tinyzero . /home/tinyzero/source
RUN python3 -m venv /opt/venv && pip install /home/tinyzero/source

WORKDIR /data
VOLUME /data
ENTRYPOINT ["tinyzero"]
CMD ["doctor"]

# Every part of Darkroom in one image; docker-compose.yml says which part a container plays.
# 3.13 because every pinned package has a wheel for it, so nothing is compiled.

FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /venv
ENV PATH=/venv/bin:$PATH
WORKDIR /app

# The dependencies alone first: they change less often than the code, and this layer is kept.
COPY pyproject.toml constraints.txt ./
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
        > /tmp/requirements.txt \
    && pip install -c constraints.txt -r /tmp/requirements.txt

# Editable, so the catalogue, the migrations and the templates lie where a checkout has them.
COPY . .
RUN pip install --no-deps -e . && python -m compileall -q .


FROM python:3.13-slim
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DARKROOM_HOME=/data \
    DARKROOM_STORAGE_URL=file:///data/outputs

# The folder belongs to the user before a volume is mounted there: a new volume takes its owner over.
RUN useradd --uid 10001 --create-home darkroom \
    && install -d -o darkroom -g darkroom /data /data/outputs
COPY --from=build /venv /venv
COPY --from=build /app /app

WORKDIR /app
USER darkroom
EXPOSE 8000 5555
CMD ["darkroom", "--help"]

# The project itself, on the image that the Dockerfile beside this one makes.
ARG BASE
FROM ${BASE}
COPY project /tmp/project
RUN /opt/stormdesk/bin/pip install --quiet --no-index --no-deps /tmp/project/*.whl && rm -r /tmp/project
CMD ["/opt/stormdesk/bin/python", "-P", "-m", "stormdesk.infra.backends.docker.start"]

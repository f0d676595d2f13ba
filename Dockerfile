# The console without the simulator: a static binary, no shell, no root.
# Building needs about 6 GB of memory: one package of the Microsoft Graph SDK takes most of it.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY cmd cmd
COPY internal internal
COPY web web
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -tags nosimulator -ldflags "-s -w -X evict/internal/app.version=${VERSION}" -o /out/evict ./cmd/server \
 && mkdir /out/data

# It holds the certificate authorities and nothing to run.
FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/evict /usr/local/bin/evict
COPY --from=build --chown=65532:65532 /out/data /data
ENV EVICT_DATA_DIR=/data
VOLUME /data
EXPOSE 8080
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/evict"]
CMD ["serve"]

# The same on a distroless image, which has a /tmp, certificates and time zones, and no
# shell. Its user nonroot has the uid 65532. Build it in the root of the module:
#
#	docker build -f examples/deploy/distroless.Dockerfile -t server .
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -o /out/server ./examples/server
RUN CGO_ENABLED=0 go build -o /out/oneshot ./cmd/oneshot

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/server /out/oneshot /
EXPOSE 8080
ENTRYPOINT ["/server", "-addr", ":8080"]

# An image with nothing but two static programs: the server, and the client that enters
# it. Build it in the root of the module:
#
#	docker build -f examples/deploy/scratch.Dockerfile -t server .
#	docker run -d --name server -p 8080:8080 server
#	docker exec -it server /oneshot 1
#
# The image has no /tmp. Docker mounts /dev/shm, so the socket appears there.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -o /out/server ./examples/server
RUN CGO_ENABLED=0 go build -o /out/oneshot ./cmd/oneshot

FROM scratch
COPY --from=build /out/server /out/oneshot /
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/server", "-addr", ":8080"]

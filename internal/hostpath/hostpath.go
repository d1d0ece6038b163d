// Package hostpath says at which path a person outside of a container, or of a service
// with its own /tmp, finds a file of this process. It knows nothing about sockets.
package hostpath
